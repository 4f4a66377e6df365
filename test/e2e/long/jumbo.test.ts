import { expectExit, ipv4Only, Lab, NODES, type NodeName } from '../lab';

/** Jumbo frames from nothing: a lab whose network carries 9,000 bytes, with each kind of tunnel inside. */

const SITE = 'jumbo';
const CASE_LIMIT_MILLISECONDS = 45 * 60 * 1000;

/** What `network.routing` is, and what each pair of nodes shows then between its pods: 9000 less 20, 50 and 60 bytes. */
const PROVED = {
  bgp: /9000 ok none/,
  ipip: /8980 ok ipip/,
  vxlan: /8950 ok vxlan/,
  'vxlan\n  wireguard: true': /8940 ok wireguard/,
};

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

describe('a lab of 9000 bytes', () => {
  const lab = new Lab(SITE);

  afterAll(async () => {
    await lab.down();
    lab.remove();
  });

  it('proves 9000 on the wire, and in every tunnel what the table leaves of it', async () => {
    await lab.host('down', '--name', SITE);
    expectExit(await lab.host('up', '--name', SITE, '--mtu', '9000'), 0);
    // IP-in-IP carries IPv4 only.
    lab.edit((text) => ipv4Only(text.replace(/^underlay:$/m, 'underlay:\n  mtu: 9000')));
    for (const [routing, proved] of Object.entries(PROVED)) {
      lab.edit((text) =>
        text.replace(/^ {2}routing: .*\n/m, '').replace(/^network:$/m, `network:\n  routing: ${routing}`),
      );
      const result = await lab.sitewright('up', SITE, '--yes');
      expectExit(result, 0);
      expect(result.stdout).toMatch(/9000 ok/);
      expect(result.stdout).toMatch(proved);
    }
    for (const node of Object.keys(NODES) as NodeName[]) {
      expect(await lab.ssh(node, 'cat /sys/class/net/*/mtu')).toMatch(/^9000$/m);
    }
  });
});
