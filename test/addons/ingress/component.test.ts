import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import { Ingress } from '../../../components/addons/ingress/ingress';
import { mintPki } from '../../../components/secrets/pki';
import { recordProgram, type RecordedResource } from '../../support/recordingMonitor';
import { BALANCED, clusterOf, writeBundle } from './sites';

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'sitewright-ingress-'))));
afterAll(() => rmSync(folder, { recursive: true }));

const KEY = 'planted-key';

class Made extends pulumi.ComponentResource {}

async function record(ingress: object): Promise<RecordedResource[]> {
  const { ingress: plan, bundle } = clusterOf(ingress);
  writeBundle(folder, bundle);
  return recordProgram(
    () => {
      const provider = new k8s.Provider('provider', { kubeconfig: 'kubeconfig' });
      const access = { provider, cluster: new Made('test:Cluster', 'cluster'), rolloutLimitSeconds: 60 };
      const key = plan!.certificate === null ? null : pulumi.secret(KEY);
      const proxy = new k8s.core.v1.ServiceAccount('proxy', {}, { provider });
      new Ingress('ingress', { plan: plan!, bundle, bundleFolder: folder, access, key, after: [proxy] });
    },
    { preview: true },
  );
}

const named = (resources: RecordedResource[], name: string) => resources.find((one) => one.name === `ingress-${name}`)!;

test('pods come after what they read and after kube-proxy, and their Service after them', async () => {
  const resources = await record(BALANCED);
  const deployment = named(resources, 'deployment-nginx-ingress');
  expect(deployment.type).toBe('kubernetes:apps/v1:Deployment');
  expect(deployment.dependencies).toEqual(
    expect.arrayContaining([
      'ingress-configmap-nginx-config',
      'ingress-clusterrolebinding-nginx-ingress',
      'ingress-ippool-sitewright-ingress',
      'ingress-poddisruptionbudget-ingress-controller',
      'proxy',
    ]),
  );
  expect(named(resources, 'service-ingress-controller').dependencies).toEqual(['ingress-deployment-nginx-ingress']);
  expect(named(resources, 'configmap-nginx-config').dependencies).toEqual(
    expect.arrayContaining([
      'ingress-namespace-nginx-ingress',
      'ingress-customresourcedefinition-policies.k8s.nginx.org',
    ]),
  );
});

test.each([{ controller: 'nginx' }, { controller: 'ingress-nginx' }])(
  '%j: every object has a name of its own, and goes with the cluster',
  async (ingress) => {
    const objects = (await record(ingress)).filter(({ name }) => name.startsWith('ingress-'));
    expect(new Set(objects.map(({ name }) => name)).size).toBe(objects.length);
    expect(objects.length).toBeGreaterThan(8);
    for (const { name, provider, deletedWith, parent } of objects)
      expect({ name, provider, deletedWith, parent }).toEqual({
        ...{ name, provider: 'provider', deletedWith: 'cluster', parent: 'ingress' },
      });
  },
);

test.each([{}, { controller: 'ingress-nginx' }])(
  '%j: the certificate and its key come before the pods',
  async (ingress) => {
    const { ca } = await mintPki('oslo', new Date());
    const resources = await record({ ...ingress, certificate: ca.certificate });
    const secret = named(resources, 'certificate');
    expect(secret.inputs).toMatchObject({
      type: 'kubernetes.io/tls',
      metadata: { name: 'default-certificate' },
      stringData: { 'tls.crt': ca.certificate, 'tls.key': KEY },
    });
    expect(secret.secretInputs.some((path) => path.startsWith('stringData'))).toBe(true);
    expect(JSON.stringify(resources.filter((resource) => resource !== secret))).not.toContain(KEY);
    const pods = resources.find(({ type }) => type.endsWith(':DaemonSet'))!;
    expect(pods.dependencies).toContain('ingress-certificate');
    expect(JSON.stringify(pods.inputs)).toContain('=$(POD_NAMESPACE)/default-certificate');
  },
);
