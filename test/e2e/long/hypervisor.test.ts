import { labLayout } from '../../../scripts/lab/layout';
import { newKey } from '../../ssh/keys';
import { startSshd, type TestSshd } from '../../ssh/sshd';
import { expectExit, Lab } from '../lab';

/** A hypervisor that is another host to the kit: an sshd in the lab's network namespace is the only way to its libvirt. */

const SITE = 'hv';
const ADDRESS = '192.0.2.1';
const CASE_LIMIT_MILLISECONDS = 25 * 60 * 1000;

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

describe('a hypervisor over SSH', () => {
  const lab = new Lab(SITE);
  let sshd: TestSshd | undefined;

  afterAll(async () => {
    await sshd?.stop();
    await lab.host('down', '--name', SITE);
    lab.remove();
  });

  it('gets a machine, keeps it on a second up, is refused with another host key, and loses the machine again', async () => {
    await lab.host('down', '--name', SITE);
    const before = await lab.inventory();
    expectExit(await lab.host('up', '--name', SITE), 0);

    const hostKey = newKey();
    const connection = `connection:\n          host: ${ADDRESS}\n          hostKey: ${hostKey.publicKey}`;
    lab.edit((text) => text.replace('connection: local', connection));
    // One machine is enough to see the way to it.
    lab.edit((text) => text.replace(/^ {4}- name: lab2$[^]*?(?=^\S)/m, '').replace('memory: 3GiB', 'memory: 2GiB'));

    // As a user does it: make the secrets, then let the hypervisor accept the key that is shown.
    const made = await lab.sitewright('new', SITE, '--json');
    expectExit(made, 0);
    const { publicKey } = JSON.parse(made.stdout) as { publicKey: string };
    sshd = await startSshd({
      namespace: labLayout(SITE).namespace,
      address: ADDRESS,
      port: 22,
      hostKey,
      authorizedKey: publicKey,
    });

    expectExit(await lab.sitewright('up', SITE, '--yes'), 0);
    const machines = await lab.domains();
    expect(Object.keys(machines)).toEqual([`${SITE}-lab1`]);
    expect(await lab.ssh('lab1', 'hostname')).toBe('lab1');
    // Through the server, and through nothing else: the hypervisor's scripts ran as its user.
    expect(sshd.log()).toMatch(new RegExp(`Accepted publickey for root from ${ADDRESS.replaceAll('.', '\\.')}`));

    const second = await lab.sitewright('up', SITE, '--yes', '--json');
    expectExit(second, 0);
    expect(JSON.parse(second.stdout)).toMatchObject({
      changes: [],
      counts: { create: 0, update: 0, replace: 0, delete: 0 },
    });

    const right = lab.read();
    const other = newKey().publicKey;
    lab.edit((text) => text.replace(hostKey.publicKey, other));
    const refused = await lab.sitewright('up', SITE, '--yes');
    expectExit(refused, 1);
    expect(refused.output).toMatch(/root@192\.0\.2\.1:22: the host key does not match/);
    expect(await lab.domains()).toEqual(machines);

    lab.edit(() => right);
    expectExit(await lab.sitewright('up', SITE, '--yes'), 0);
    expect(await lab.domains()).toEqual(machines);

    expectExit(await lab.sitewright('destroy', SITE, '--yes', '--confirm', SITE), 0);
    expect(await lab.domains()).toEqual({});
    expect(await lab.volumes()).toEqual([]);

    await sshd.stop();
    sshd = undefined;
    expectExit(await lab.host('down', '--name', SITE), 0);
    expect(await lab.inventory()).toEqual(before);
  });
});
