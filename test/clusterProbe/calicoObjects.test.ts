import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { podsByLink, readCalico, vethName } from '../../components/clusterProbe/calicoRead';
import { ADMIN_KUBECTL, Kubectl } from '../../components/clusterProbe/kubectl';
import { readObjects } from '../../components/drift/objects';
import { inStages, parseManifest, type ManifestObject } from '../../components/network/manifest';
import type { SshSession } from '../../components/ssh/session';
import { planOfMode } from '../network/calico/modes';
import { releaseText } from '../network/calico/release';
import { ApiServer, program } from '../plugins/kubernetes/apiServer';
import { DryRun } from '../plugins/kubernetes/dryRun';

/** `verify` and `drift` against a real API server with Calico's real kinds, which keeps objects as it likes. */

const { cluster } = planOfMode({
  ...{ routing: 'bgp', wireguard: false, dataplane: 'iptables', install: 'operator', families: 'dual' },
  ...{ topology: 'routers', version: '3.32.1', from: 'upstream' },
});
const calico = cluster!.calico!;
const objects = [...calico.objects, ...calico.lateObjects, ...calico.operator] as ManifestObject[];
const INSTALLATION = '/apis/operator.tigera.io/v1/installations/default';
const FILTER = '/apis/crd.projectcalico.org/v1/bgpfilters/pods';

let api: ApiServer;
let session: { exec: SshSession['exec'] };
const asRoot = (command: string) => command;

beforeAll(async () => {
  api = await ApiServer.start();
  const kubeconfig = path.join(api.dir, 'kubeconfig');
  fs.writeFileSync(kubeconfig, api.kubeconfig());
  const kubectl = `${program('kubernetes', 'kubectl')} --kubeconfig ${kubeconfig}`;
  session = {
    exec: (command, { stdin = '' } = {}) =>
      new Promise((done) => {
        const child = spawn('bash', ['-c', command.replace(ADMIN_KUBECTL, kubectl)]);
        let [stdout, stderr] = ['', ''];
        child.stdout.on('data', (text) => (stdout += text));
        child.stderr.on('data', (text) => (stderr += text));
        child.on('close', (code) => done({ code: code ?? -1, stdout, stderr }));
        child.stdin.end(stdin);
      }),
  };
  const { bundle } = cluster!;
  const server = new DryRun(api);
  await server.makeKinds(
    inStages(bundle.manifests.flatMap(({ name }) => parseManifest(name, releaseText(bundle, name)))).kinds,
  );
  // Namespaces first, as the kit has them.
  const { kinds, basis } = inStages(objects);
  for (const object of [...kinds, ...basis]) await server.make(object);
}, 240_000);
afterAll(() => api?.stop());

async function differences(): Promise<string[]> {
  const kubectl = new Kubectl(session as SshSession, asRoot);
  const { objects: found } = await readCalico(kubectl, objects, { timeoutSeconds: 60 });
  expect(Object.keys(found)).toHaveLength(objects.length);
  return Object.entries(found).flatMap(([name, lines]) => (lines ?? ['gone']).map((line) => `${name}: ${line}`));
}
const drift = async () =>
  (await readObjects(session, asRoot, objects, 'oslo', { timeoutSeconds: 60 })).map(
    ({ what, wanted, found }) => `${what} | ${wanted} | ${found}`,
  );

test('as applied, and as the operator leaves its Installation, is as planned to both', async () => {
  expect(objects.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['BGPFilter', 'BGPPeer', 'Installation']));
  expect(await differences()).toEqual([]);
  expect(await drift()).toEqual([]);
  // What its defaults are written back with, item by item: a merge patch takes a list as a whole.
  const { spec } = (await api.find(INSTALLATION)) as { spec: { calicoNetwork: { ipPools: object[] } } };
  const ipPools = spec.calicoNetwork.ipPools.map((pool) => ({
    ...{ allowedUses: ['Workload', 'Tunnel'], assignmentMode: 'Automatic', disableNewAllocations: false },
    ...pool,
  }));
  expect(ipPools).toHaveLength(2);
  const calicoNetwork = { ipPools, multiInterfaceMode: 'None', linuxPolicySetupTimeoutSeconds: 0 };
  await api.edit(INSTALLATION, { spec: { calicoNetwork } }, 'operator');
  expect(await differences()).toEqual([]);
  expect(await drift()).toEqual([]);
}, 240_000);

test('what somebody changed inside a list is found by both, and one more item too', async () => {
  const found = (await api.find(FILTER)) as { spec: { exportV4: { action: string }[] } };
  const [rule] = found.spec.exportV4;
  await api.edit(FILTER, { spec: { exportV4: [{ ...rule, action: 'Reject' }] } });
  expect(await differences()).toEqual(['BGPFilter pods: spec.exportV4[0].action is "Reject", planned: "Accept"']);
  expect(await drift()).toEqual(['BGPFilter pods |  | - action: Reject', 'BGPFilter pods | - action: Accept | ']);
  await api.edit(FILTER, { spec: { exportV4: [rule, rule] } });
  expect(await differences()).toEqual([
    expect.stringMatching(/^BGPFilter pods: spec\.exportV4 is \[.*\], planned: \[/),
  ]);
  expect(await drift()).not.toEqual([]);
  await api.edit(FILTER, { spec: { exportV4: [rule] } });
  expect(await differences()).toEqual([]);
}, 240_000);

test('the links of nodes are known by the pods that have them', async () => {
  const spec = { containers: [{ name: 'web', image: 'web:v1' }] };
  for (const name of ['web-1', 'web-2'])
    await api.done('POST', '/api/v1/namespaces/default/pods', {
      ...{ apiVersion: 'v1', kind: 'Pod' },
      ...{ metadata: { name }, spec },
    });
  const pods = await podsByLink(new Kubectl(session as SshSession, asRoot), { timeoutSeconds: 60 });
  expect(Object.fromEntries(pods)).toEqual({
    [vethName('default', 'web-1')]: 'default/web-1',
    [vethName('default', 'web-2')]: 'default/web-2',
  });
}, 240_000);
