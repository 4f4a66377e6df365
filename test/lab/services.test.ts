import { labLayout } from '../../scripts/lab/layout';
import { answer } from '../../scripts/lab/ntpServer';
import { dnsmasqArguments, libvirtdScript } from '../../scripts/lab/services';

describe("the lab's libvirtd", () => {
  const lines = libvirtdScript(labLayout('t')).split('\n');
  const place = (text: string) => lines.findIndex((line) => line.includes(text));

  it('mounts only where the machine cannot see it', () => {
    expect(lines.slice(0, 2)).toEqual(['set -e', 'mount --make-rprivate /']);
  });

  it('has a directory of its own behind every path that libvirt has compiled in', () => {
    for (const compiledIn of ['/var/lib/libvirt', '/etc/libvirt', '/var/log/libvirt', '/var/cache/libvirt']) {
      expect(
        lines.some((line) => line.startsWith('mount --bind /var/lib/sitewright/t/') && line.endsWith(compiledIn)),
      ).toBe(true);
    }
  });

  it('keeps its socket reachable from outside: the bind comes before /run is covered', () => {
    expect(place('/run/sitewright/t/slash-run/libvirt')).toBeGreaterThan(0);
    expect(place('/run/sitewright/t/slash-run/libvirt')).toBeLessThan(place('slash-run /run'));
  });
});

describe("the lab's DNS", () => {
  it('answers on the gateway only and asks nobody else', () => {
    const args = dnsmasqArguments(labLayout('t'));
    expect(args).toEqual(expect.arrayContaining(['--no-resolv', '--no-hosts', '--bind-interfaces']));
    expect(args.filter((arg) => arg.startsWith('--listen-address='))).toEqual([
      '--listen-address=192.0.2.1',
      '--listen-address=2001:db8:0:2::1',
    ]);
  });
});

describe("the lab's time", () => {
  const request = Buffer.alloc(48);
  request[0] = (4 << 3) | 3;
  request.write('12345678', 40, 'latin1');
  // 2026-01-01T00:00:00.500Z
  const received = 1_767_225_600_500;
  const seconds = 1_767_225_600 + 2_208_988_800;

  it('is what this machine says, in NTP', () => {
    const reply = answer(request, received, () => received + 250) as Buffer;
    expect(reply[0]).toBe((4 << 3) | 4);
    expect(reply.subarray(24, 32).toString('latin1')).toBe('12345678');
    expect(reply.readUInt32BE(32)).toBe(seconds);
    expect(reply.readUInt32BE(36)).toBe(2 ** 31);
    expect(reply.readUInt32BE(44)).toBe(2 ** 31 + 2 ** 30);
  });

  it('is good enough to follow: a stratum that clients accept', () => {
    const stratum = (answer(request, received, () => received) as Buffer)[1];
    expect(stratum).toBeGreaterThan(0);
    expect(stratum).toBeLessThan(16);
  });

  it.each([
    ['a short packet', Buffer.alloc(47, 0x23)],
    ["a server's answer", Buffer.from([(4 << 3) | 4, ...new Array<number>(47).fill(0)])],
    ['an old version', Buffer.from([(2 << 3) | 3, ...new Array<number>(47).fill(0)])],
  ])('is not told to %s', (_what, packet) => {
    expect(answer(packet, received, () => received)).toBeUndefined();
  });
});
