import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as pulumi from '@pulumi/pulumi';
import * as k8s from '@pulumi/kubernetes';
import { Calico } from '../../../components/network/calico/calico';
import type { ClusterPlan } from '../../../components/plan';
import { recordProgram, type RecordedResource } from '../../support/recordingMonitor';
import { planOfMode, type Mode } from './modes';
import { releaseText } from './release';

const PASSWORD = 'planted-password';

class Made extends pulumi.ComponentResource {}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-calico-'));
  mkdirSync(join(folder, 'manifests'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function record(mode: Partial<Mode>): Promise<{ resources: RecordedResource[]; cluster: ClusterPlan }> {
  const { cluster, errors } = planOfMode({
    ...{ routing: 'bgp', wireguard: false, dataplane: 'iptables', install: 'manifest', families: 'v4' },
    ...{ topology: 'routers', version: '3.32.1', from: 'upstream' },
    ...mode,
  });
  if (cluster === null) throw new Error(errors.join('\n'));
  for (const { name } of cluster.bundle.manifests) {
    writeFileSync(join(folder, 'manifests', name), releaseText(cluster.bundle, name));
  }
  const resources = await recordProgram(
    () => {
      const provider = new k8s.Provider('provider', { kubeconfig: 'kubeconfig' });
      const access = { provider, cluster: new Made('test:Cluster', 'cluster'), rolloutLimitSeconds: 60 };
      const passwords = { rack1: pulumi.secret(PASSWORD), rack2: pulumi.secret(PASSWORD) };
      const plan = cluster.calico!;
      const args = { plan, bundle: cluster.bundle, bundleFolder: folder, access, bgpPasswords: passwords };
      const calico = new Calico('calico', args);
      const joined = new k8s.core.v1.ConfigMap('joined', {}, { provider, dependsOn: calico.ready });
      calico.late([joined]);
    },
    { preview: true },
  );
  return { resources, cluster };
}

const named = (resources: RecordedResource[], name: string) => {
  const found = resources.find((resource) => resource.name === name);
  if (found === undefined) throw new Error(`no ${name} among ${resources.map((each) => each.name).join(', ')}`);
  return found;
};

test('kinds before objects of them, and all that calico-node reads before calico-node', async () => {
  const { resources } = await record({});
  const kind = 'calico-customresourcedefinition-ippools.crd.projectcalico.org';
  expect(named(resources, 'calico-configmap-calico-config').dependencies).toContain(kind);
  const pool = named(resources, 'calico-ippool-default-ipv4-ippool');
  expect(pool.type).toBe('kubernetes:crd.projectcalico.org/v1:IPPool');
  expect(pool.dependencies).toContain('calico-configmap-calico-config');
  const { dependencies, provider, deletedWith } = named(resources, 'calico-daemonset-calico-node');
  expect(dependencies).toEqual(
    expect.arrayContaining([
      'calico-ippool-default-ipv4-ippool',
      'calico-felixconfiguration-default',
      'calico-bgppeer-tor-rack1',
      'calico-bgp-passwords',
      'calico-configmap-kubernetes-services-endpoint',
    ]),
  );
  expect({ provider, deletedWith }).toEqual({ provider: 'provider', deletedWith: 'cluster' });
  expect(resources.filter(({ name }) => name.startsWith('calico-')).every(({ parent }) => parent === 'calico')).toBe(
    true,
  );
});

test('what cannot be ready on the first machine alone is not waited for', async () => {
  const { resources } = await record({});
  const annotations = (name: string) =>
    (named(resources, name).inputs as { metadata: { annotations?: object } }).metadata.annotations;
  expect(annotations('calico-deployment-calico-kube-controllers')).toEqual({ 'pulumi.com/skipAwait': 'true' });
  expect(annotations('calico-daemonset-calico-node')).toBeUndefined();
});

test('passwords of routers are secret, and only where a session has one', async () => {
  const { resources } = await record({});
  const secret = named(resources, 'calico-bgp-passwords');
  expect(secret.inputs.stringData).toEqual({ rack1: PASSWORD, rack2: PASSWORD });
  expect(secret.secretInputs.some((path) => path.startsWith('stringData'))).toBe(true);
  expect(JSON.stringify(resources.filter((resource) => resource !== secret))).not.toContain(PASSWORD);
  const without = await record({ topology: 'plain' });
  expect(without.resources.some(({ name }) => name === 'calico-bgp-passwords')).toBe(false);
});

test('between mesh and reflectors every object stays the resource that it is; the mesh ends after the nodes have joined', async () => {
  const urns = async (topology: Mode['topology']) => {
    const { resources } = await record({ topology });
    // The site of the reflectors has pools of its own.
    const found = resources.filter(({ type }) => type.startsWith('kubernetes:') && !type.endsWith(':IPPool'));
    return { resources, urns: found.map(({ urn }) => urn).sort() };
  };
  const [mesh, reflected, back] = [await urns('plain'), await urns('reflectors'), await urns('plain')];
  const configuration = 'calico-bgpconfiguration-default';
  const peer = 'calico-bgppeer-sitewright-route-reflectors';
  expect(reflected.urns.filter((urn) => !urn.endsWith(`::${peer}`))).toEqual(mesh.urns);
  expect(back.urns).toEqual(mesh.urns);
  for (const { resources, urns: all } of [mesh, reflected, back]) {
    expect(all.filter((urn) => urn.endsWith(`::${configuration}`))).toHaveLength(1);
    // Another provider would be a replacement.
    expect(named(resources, configuration).provider).toBe('provider');
  }
  expect(named(reflected.resources, configuration).dependencies).toEqual(['joined']);
  expect(named(mesh.resources, configuration).dependencies).not.toContain('joined');
  expect(named(mesh.resources, 'calico-daemonset-calico-node').dependencies).toContain(configuration);
});

test('the namespace of calico-node, which the kit has for its passwords alone, is never deleted', async () => {
  const { resources } = await record({ install: 'operator' });
  expect(named(resources, 'calico-namespace-calico-system').retainOnDelete).toBe(true);
  const without = await record({ install: 'operator', topology: 'plain' });
  expect(without.resources.some(({ name }) => name === 'calico-namespace-calico-system')).toBe(false);
  const kept = resources.filter(({ retainOnDelete }) => retainOnDelete).map(({ name }) => name);
  expect(kept).toEqual(['calico-namespace-calico-system']);
});

test('the operator: its kinds, itself, then what it is to install', async () => {
  const { resources } = await record({ install: 'operator' });
  const { dependencies } = named(resources, 'calico-installation-default');
  expect(dependencies).toContain('calico-deployment-tigera-operator');
  expect(named(resources, 'calico-deployment-tigera-operator').dependencies).toContain(
    'calico-felixconfiguration-default',
  );
  expect(resources.some(({ type }) => type.endsWith(':IPPool'))).toBe(false);
});
