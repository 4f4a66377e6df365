import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { publicKeyOf } from '../../components/secrets/hostKey';
import { startSshd, type TestSshd } from '../ssh/sshd';
import { TestKit } from './kit';

/**
 * `sitewright debug` with a bundle that has no toolbox image, over SSH servers for a control-plane machine and a worker: the
 * network of the pod is a real one, and kubectl and crictl say what the real ones do. The real crictl and containerd are in
 * test/clusterProbe/podNetwork.test.ts.
 */
const PASSPHRASE = { PULUMI_CONFIG_PASSPHRASE: 'correct horse' };
const network = `swdbg${process.pid % 10000}`;
let kit: TestKit;
let controlPlane: TestSshd;
let worker: TestSshd;
let pod: ChildProcess;
const at = (...names: string[]) => join(kit.dir, ...names);
const run = (...args: string[]) => kit.run(['debug', 'oslo', ...args], PASSPHRASE);

/** A machine whose programs of Kubernetes are in a folder. */
function machine(name: string, programs: Record<string, string>, authorizedKey?: string): Promise<TestSshd> {
  mkdirSync(at(name));
  for (const [program, text] of Object.entries(programs)) {
    writeFileSync(at(name, program), `#!/bin/bash\n${text}\n`);
    chmodSync(at(name, program), 0o755);
  }
  const lead = `"\${SSH_ORIGINAL_COMMAND//\\/usr\\/local\\/bin/${at(name).replaceAll('/', '\\/')}}"`;
  writeFileSync(at(name, 'lead'), `machine=${name} exec bash -c ${lead}\n`);
  return startSshd({ authorizedKey, config: [`ForceCommand bash ${at(name, 'lead')}`] });
}

/** What the control plane says of every pod. */
const podIs = (phase: string, nodeName: string) =>
  writeFileSync(at('pod.json'), JSON.stringify({ metadata: {}, spec: { nodeName }, status: { phase } }));

beforeAll(async () => {
  kit = new TestKit();
  execFileSync('ip', ['netns', 'add', network]);
  execFileSync('ip', ['-n', network, 'link', 'add', 'eth0', 'mtu', '1410', 'type', 'bridge']);
  pod = spawn('nsenter', [`--net=/run/netns/${network}`, 'sleep', 'infinity'], { stdio: 'ignore' });
  const items = [{ id: 'sandbox', metadata: { name: 'web-1', namespace: 'shop' } }];
  const answers = { pods: { items }, inspectp: { info: { pid: pod.pid } } };
  for (const [name, answer] of Object.entries(answers)) writeFileSync(at(`${name}.json`), JSON.stringify(answer));
  controlPlane = await machine('cp1', { kubectl: `echo "$*" >>'${at('asked')}'; cat '${at('pod.json')}'` });
  worker = await machine('w1', { crictl: `cat '${kit.dir}/'$1.json` }, publicKeyOf(controlPlane.target.privateKey));

  expect(kit.run(['new', 'oslo', '--provider', 'existing', '--profile', 'staging'], PASSPHRASE).code).toBe(0);
  const set = ['config', 'set', 'sitewright:sshPrivateKey', '--secret', '-s', 'oslo'];
  kit.pulumi(set, PASSPHRASE, controlPlane.target.privateKey);
  const file = at('stacks/sites/oslo.yaml');
  const hosts = [controlPlane.target, worker.target];
  const text = readFileSync(file, 'utf8')
    .replace(/user: sitewright/, `user: ${controlPlane.target.user}`)
    .replace(/hostKey: .*/g, () => {
      const { hostKey, port } = hosts.shift()!;
      return `hostKey: ${hostKey}\n        host: 127.0.0.1\n        port: ${port}`;
    });
  writeFileSync(file, text);
  appendFileSync(file, "\nkubernetes:\n  version: '1.36.1'\n");
});
beforeEach(() => podIs('Running', 'w1'));
afterAll(async () => {
  pod?.kill();
  execFileSync('ip', ['netns', 'del', network]);
  await controlPlane?.stop();
  await worker?.stop();
  await kit?.remove();
});

test('the tools of the node that a pod is on see the network of the pod, and the exit code comes back', () => {
  const inside = 'echo "$machine $1"; ip -o link show eth0; exit 7';
  const found = run('web-1', '-n', 'shop', '--', 'bash', '-c', inside, '-', `it's  "$HOME"`);
  expect(found).toMatchObject({
    code: 7,
    stdout: expect.stringMatching(/^w1 it's {2}"\$HOME"\n\d+: eth0: .* mtu 1410 /),
  });
  expect(readFileSync(at('asked'), 'utf8')).toMatch(/ get pod web-1 -n shop -o json\n$/);
});

test('on a machine they see its own network', () => {
  const found = run('w1', '--', 'bash', '-c', 'echo $machine; readlink /proc/self/ns/net');
  const own = execFileSync('readlink', ['/proc/self/ns/net'], { encoding: 'utf8' });
  expect(found).toMatchObject({ code: 0, stdout: `w1\n${own}` });
});

test('what cannot be looked into is told', () => {
  expect(run('web-2', '-n', 'shop', '--', 'true')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^containerd has no pod shop\/web-2$/m),
  });
  podIs('Running', 'w9');
  expect(run('web-1', '-n', 'shop', '--', 'true')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^the pod is on w9, which is no machine of the site file$/m),
  });
  podIs('Pending', 'w1');
  expect(run('web-1', '--', 'true')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^default\/web-1 is Pending: only a running pod can be looked into$/m),
  });
});
