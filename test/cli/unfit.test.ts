import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startSshd, type TestSshd } from '../ssh/sshd';
import { suspectsOf } from '../../scripts/cli/repair';
import { judge } from '../../scripts/cli/unfit';
import { TestKit } from './kit';

/** An `up` of a site whose cluster does not answer, with the real command line and engine, and machines that say why. */
const PASSPHRASE = { PULUMI_CONFIG_PASSPHRASE: 'correct horse' };
let kit: TestKit;
let sshd: TestSshd;
const run = (...args: string[]) => kit.run(args, PASSPHRASE);
const answer = () => join(kit.dir, 'answer');
/** There once the engine has run the program. */
const ran = () => join(kit.dir, 'ran');
const now = () => Math.floor(Date.now() / 1000);

beforeAll(async () => {
  kit = new TestKit();
  // What a built cluster is known by.
  kit.useProgram(`
    const pulumi = require('@pulumi/pulumi');
    exports.program = async () => {
      new pulumi.ComponentResource('sitewright:cluster:Part', 'oslo-cluster-cp1-control-plane');
      require('node:fs').writeFileSync('${ran()}', '');
      return {};
    };`);
  sshd = await startSshd({ config: [`ForceCommand cat >/dev/null; cat '${answer()}'`] });
  expect(run('new', 'oslo', '--provider', 'existing', '--profile', 'staging').code).toBe(0);
  kit.reachBy('oslo', sshd.target);
  // Nothing listens there.
  const file = join(kit.stacks, 'sites/oslo.yaml');
  const kubernetes = "\nkubernetes:\n  version: '1.36.1'\n  endpoint: {host: 127.0.0.1, port: 1}\n";
  writeFileSync(file, readFileSync(file, 'utf8') + kubernetes);
  kit.pulumi(
    ['config', 'set', 'sitewright:sshPrivateKey', '--secret', '-s', 'oslo'],
    PASSPHRASE,
    sshd.target.privateKey,
  );
  expect(run('up', 'oslo', '--yes')).toMatchObject({ code: 0 });
});
beforeEach(() => rmSync(ran(), { force: true }));
afterAll(async () => {
  await sshd?.stop();
  await kit?.remove();
});

test('expired certificates of the control plane end it before the engine runs, with what renews them', () => {
  writeFileSync(answer(), `${now()}\n/etc/kubernetes/pki/apiserver.crt\n/etc/kubernetes/kubelet.conf\n`);
  const before = kit.snapshot();
  const { code, stderr } = run('up', 'oslo', '--yes');
  expect(code).toBe(2);
  expect(stderr).toMatch(/^The cluster of oslo needs a look: https:\/\/127\.0\.0\.1:1 does not answer/m);
  expect(stderr).toMatch(
    /^cp1: expired: \/etc\/kubernetes\/pki\/apiserver\.crt, \/etc\/kubernetes\/kubelet\.conf\nNo machine was changed\. sitewright certs oslo --renew renews/m,
  );
  expect(existsSync(ran())).toBe(false);
  expect(kit.snapshot()).toEqual(before);
});

test('so does a wrong clock, whatever the certificates are by that', () => {
  writeFileSync(answer(), `${now() + 86_400}\n/etc/kubernetes/pki/apiserver.crt\n`);
  const { code, stderr } = run('up', 'oslo', '--yes');
  expect(code).toBe(2);
  expect(stderr).toMatch(/^cp1: its clock says \S+Z, and that of this machine \S+Z: set the one that is wrong/m);
  expect(stderr).not.toContain('apiserver.crt');
  expect(existsSync(ran())).toBe(false);
});

test('a machine that is fit is repaired', () => {
  writeFileSync(answer(), `${now()}\n`);
  const { code, stderr } = run('up', 'oslo', '--yes');
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/needs a look/) as unknown });
  expect(existsSync(ran())).toBe(true);
});

test('a clock is wrong by more than the way to the machine, and than what certificates are dated back', () => {
  const minutes = (count: number) => count * 60_000;
  const wrong = (machine: number) => judge('cp1', minutes(machine), { before: minutes(60), after: minutes(62) }, []);
  for (const right of [55, 60, 67]) expect(wrong(right)).toBeNull();
  for (const off of [54, 68]) expect(wrong(off)?.clock?.machine).toEqual(new Date(minutes(off)));
});

test('a cluster that answers tells whose clock to look at, beside who is not Ready', () => {
  const time = new Date('2026-03-01T12:00:00Z');
  const node = (name: string, status: string, lastHeartbeatTime?: string) => ({
    metadata: { name },
    status: { conditions: [{ type: 'Ready', status, lastHeartbeatTime }] },
  });
  const items = [
    node('fit', 'True', '2026-03-01T11:53:00Z'),
    node('fast', 'True', '2026-03-01T12:06:00Z'),
    node('slow', 'True', '2026-03-01T11:44:00Z'),
    node('silent', 'True'),
    // Its last word is old because it is down.
    node('down', 'Unknown', '2026-03-01T10:00:00Z'),
    { metadata: { name: 'new' }, status: {} },
  ];
  expect(suspectsOf({ items }, time)).toEqual({ notReady: ['down', 'new'], wrongClock: ['fast', 'slow'] });
});
