import { expectExit, Lab, NODES, type NodeName } from '../lab';

/** Jumbo frames from nothing: a lab whose network carries 9,000 bytes, with a tunnel inside. */

const SITE = 'jumbo';
const CASE_LIMIT_MILLISECONDS = 25 * 60 * 1000;

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

describe('a lab of 9000 bytes', () => {
  const lab = new Lab(SITE);

  afterAll(async () => {
    await lab.down();
    lab.remove();
  });

  it('proves 9000 on the wire and 8950 in a VXLAN tunnel', async () => {
    await lab.host('down', '--name', SITE);
    expectExit(await lab.host('up', '--name', SITE, '--mtu', '9000'), 0);
    lab.edit((text) =>
      text
        .replace(/^underlay:$/m, 'underlay:\n  mtu: 9000')
        .replace(/^network:$/m, 'network:\n  routing: vxlan')
        .replace(/podCidrs: \[([^,\]]*),[^\]]*\]/, 'podCidrs: [$1]')
        .replace(/serviceCidrs: \[([^,\]]*),[^\]]*\]/, 'serviceCidrs: [$1]'),
    );
    const result = await lab.sitewright('up', SITE, '--yes');
    expectExit(result, 0);
    expect(result.stdout).toMatch(/9000 ok/);
    expect(result.stdout).toMatch(/8950 ok vxlan/);
    for (const node of Object.keys(NODES) as NodeName[]) {
      expect(await lab.ssh(node, 'cat /sys/class/net/*/mtu')).toMatch(/^9000$/m);
    }
  });
});
