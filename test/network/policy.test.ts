import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import { parseManifest, type ManifestObject } from '../../components/network/manifest';
import { Policy } from '../../components/network/policy';
import { planOf } from '../plan/site';
import { ApiServer, until } from '../plugins/kubernetes/apiServer';
import { DryRun } from '../plugins/kubernetes/dryRun';
import { recordProgram } from '../support/recordingMonitor';
import { policySite } from './policySites';

const plan = planOf(policySite()).cluster!.policy!;

test('each object is a resource; a Namespace comes before its policies and stays when it is taken out', async () => {
  class Made extends pulumi.ComponentResource {}
  const resources = await recordProgram(
    () => {
      const provider = new k8s.Provider('provider', { kubeconfig: 'kubeconfig' });
      const cluster = new Made('test:Cluster', 'cluster');
      new Policy('policy', { plan, access: { provider, cluster, rolloutLimitSeconds: 60 } });
    },
    { preview: true },
  );
  const deny = resources.find(({ name }) => name === 'policy-patients-networkpolicy-sitewright-default-deny')!;
  expect(deny.dependencies).toEqual(['policy-patients-namespace-patients']);
  const kept = resources.filter(({ retainOnDelete }) => retainOnDelete).map(({ name }) => name);
  expect(kept).toEqual(['policy-erp-namespace-erp', 'policy-patients-namespace-patients']);
  expect(resources.filter(({ type }) => type.endsWith(':NetworkPolicy'))).toHaveLength(11);
});

describe('on a real API server', () => {
  let server: ApiServer;
  let dryRun: DryRun;
  beforeAll(async () => {
    server = await ApiServer.start();
    dryRun = new DryRun(server);
    const calico = resolve(__dirname, '../../../shared/upstream/calico-v3.32.1/calico.yaml');
    const kinds = parseManifest(calico, readFileSync(calico, 'utf8')).filter(
      ({ kind, metadata }) => kind === 'CustomResourceDefinition' && metadata.name.startsWith('globalnetworkpolicies.'),
    );
    await dryRun.makeKinds([...kinds, ...plan.namespaces.map(({ namespace }) => namespace as ManifestObject)]);
  });
  afterAll(() => server?.stop());

  test('every object is accepted', async () => {
    const refused: string[] = [];
    const objects = [
      ...plan.objects,
      ...plan.namespaces.flatMap(({ namespace, policies }) => [namespace, ...policies]),
    ];
    for (const object of objects as ManifestObject[]) {
      await dryRun.apply(object).catch((error: Error) => refused.push(`${object.metadata.name}: ${error.message}`));
    }
    expect(refused).toEqual([]);
    const [, , deny] = plan.namespaces[0]!.policies as ManifestObject[];
    const wrong = { ...deny!, spec: { podSelector: {}, policyType: ['Egress'] } };
    await expect(dryRun.apply(wrong)).rejects.toThrow(/policyType/);
  });

  test('a pod with personal data that does not ask for the zone is refused, and tells how', async () => {
    for (const object of plan.objects as ManifestObject[]) {
      if (object.kind !== 'GlobalNetworkPolicy') await dryRun.make(object);
    }
    for (const name of ['erp', 'patients']) {
      await until('the account', async () =>
        Boolean(
          await server.find(`/api/v1/namespaces/${name}/serviceaccounts/default`).then(
            (found) =>
              found ??
              server.done('POST', `/api/v1/namespaces/${name}/serviceaccounts`, {
                apiVersion: 'v1',
                kind: 'ServiceAccount',
                metadata: { name: 'default' },
              }),
          ),
        ),
      );
    }
    const pod = (namespace: string, spec: object) => {
      const security = { allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: { drop: ['ALL'] } };
      const securityContext = { ...security, seccompProfile: { type: 'RuntimeDefault' } };
      const containers = [{ name: 'one', image: 'one', securityContext }];
      const metadata = { name: 'one' };
      const object = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers, ...spec } };
      return server.done('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, object);
    };
    const zone = (name: string) => ({ nodeSelector: { 'topology.kubernetes.io/zone': name } });
    // The API server reads policies a moment after they are made.
    await until(
      'the policy',
      async () =>
        await pod('patients', {}).then(
          () => false,
          () => true,
        ),
    );
    await expect(pod('patients', {})).rejects.toThrow(/stays in the zone zone1: give them the nodeSelector/);
    await expect(pod('patients', zone('zone2'))).rejects.toThrow(/stays in the zone zone1/);
    await expect(pod('patients', { nodeName: 'w2' })).rejects.toThrow(/stays in the zone zone1/);
    await expect(pod('patients', zone('zone1'))).resolves.toBeDefined();
    await expect(pod('erp', {})).resolves.toBeDefined();
    // The level of the namespace itself.
    await expect(pod('erp', { hostNetwork: true })).rejects.toThrow(
      /violates PodSecurity .*restricted:latest.*hostNetwork/,
    );
  });
});
