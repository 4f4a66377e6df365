import { impossible, MODES, nameOf, planOfMode } from './modes';

/** Routing x WireGuard x dataplane x install x families x topology x version x origin. */

test('every combination is planned, or refused with a reason', () => {
  const wrong = MODES.flatMap((mode) => {
    const { cluster, errors } = planOfMode(mode);
    const reasons = impossible(mode);
    if ((cluster === null) === reasons.length > 0) return [];
    return [`${nameOf(mode)}: ${reasons.length > 0 ? `${reasons.join('; ')}, yet planned` : errors.join('; ')}`];
  });
  expect(MODES.length).toBe(5 * 2 * 3 * 2 * 3 * 3 * 2 * 2);
  expect(wrong).toEqual([]);
});

test.each([
  ['ipip', { families: 'dual' }, /network\.routing: ipip cannot carry IPv6/],
  [
    'bgp',
    { from: 'source', version: '3.28.5' },
    /bgp\.mode: routing bgp needs BGP, and a bundle from source has no BIRD/,
  ],
  [
    'vxlan',
    { from: 'source', version: '3.28.5', dataplane: 'bpf' },
    /dataplane: a bundle from source has no eBPF programs/,
  ],
  ['vxlan', { version: '3.28.5', dataplane: 'nftables' }, /dataplane: Calico 3\.28\.5 has no nftables dataplane/],
  ['vxlan', { version: '3.28.5', install: 'operator' }, /install: the kit knows no operator of Calico 3\.28\.5/],
  ['vxlan', { from: 'source' }, /version: 3\.32\.1 is not supported with artifacts\.from source: choose 3\.28\.5/],
] as const)('%s with %o is refused', (routing, changes, message) => {
  const { errors } = planOfMode({
    ...{ wireguard: false, dataplane: 'iptables', install: 'manifest', families: 'v4', topology: 'plain' },
    ...{ version: '3.32.1', from: 'upstream', routing, ...changes },
  });
  expect(errors.join('\n')).toMatch(message);
});
