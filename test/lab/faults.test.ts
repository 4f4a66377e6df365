import { parseFault, renderFault } from '../../scripts/lab/faults';
import { labLayout } from '../../scripts/lab/layout';

const flat = labLayout('lab');
const routed = labLayout('lab', 'routed');

describe('the words of a fault', () => {
  it('reads every setting with its unit', () => {
    expect(
      parseFault(['mtu=1450', 'icmp=drop', 'delay=50ms', 'loss=2.5%', 'cut=192.0.2.12', 'cut=2001:db8:0:2::12']),
    ).toEqual({
      mtuBytes: 1450,
      icmp: 'drop',
      delayMilliseconds: 50,
      lossPercent: 2.5,
      cut: ['192.0.2.12', '2001:db8:0:2::12'],
    });
  });

  it('names everything it does not understand at once, and what is allowed', () => {
    const parse = () => parseFault(['mtu=big', 'delay=50', 'loss=101%', 'cut=node-b; drop', 'mtu=1450']);
    expect(parse).toThrow(/mtu=big delay=50 cut=node-b; drop loss=101%.*allowed: mtu=1450, icmp=drop\|send/);
    expect(parse).toThrow(expect.objectContaining({ exitCode: 2 }));
  });

  it('refuses an empty fault', () => {
    expect(() => parseFault([])).toThrow(/nothing to set/);
  });
});

describe('the rules of a fault', () => {
  it('drop what is larger than the MTU, silently, where the middle is a bridge', () => {
    expect(renderFault(flat, { mtuBytes: 1450 })).toBe(
      [
        'table bridge sitewright_fault {',
        '  chain forward {',
        '    type filter hook forward priority 0; policy accept;',
        '    ip saddr 192.0.2.1 accept',
        '    ip daddr 192.0.2.1 accept',
        '    ip6 saddr 2001:db8:0:2::1 accept',
        '    ip6 daddr 2001:db8:0:2::1 accept',
        '    meta length > 1450 drop',
        '  }',
        '}',
        '',
      ].join('\n'),
    );
  });

  it('leave the size to the router where the middle is one, so that it can answer', () => {
    expect(renderFault(routed, { mtuBytes: 1450 })).not.toMatch(/drop/);
  });

  it('silence the router itself, not only what passes through it', () => {
    const rules = renderFault(routed, { mtuBytes: 1450, icmp: 'drop' });
    const [, output] = rules.split('chain output');
    expect(output).toMatch(/hook output/);
    expect(output).toMatch(/packet-too-big/);
    expect(output).toMatch(/destination-unreachable/);
  });

  it('lose a share with a resolution of a tenth of a percent', () => {
    expect(renderFault(flat, { lossPercent: 2.5 })).toContain('numgen random mod 1000 < 25 drop');
  });

  it('cut a node off in both directions, with its address resolution', () => {
    const rules = renderFault(flat, { cut: ['192.0.2.12', '2001:db8:0:2::12'] });
    for (const rule of [
      'ip saddr 192.0.2.12 drop',
      'ip daddr 192.0.2.12 drop',
      'arp saddr ip 192.0.2.12 drop',
      'arp daddr ip 192.0.2.12 drop',
      'ip6 saddr 2001:db8:0:2::12 drop',
      'ip6 daddr 2001:db8:0:2::12 drop',
    ]) {
      expect(rules).toContain(rule);
    }
    expect(renderFault(routed, { cut: ['192.0.2.12'] })).not.toContain('arp');
  });
});
