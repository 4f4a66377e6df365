import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderFollowProxy } from '../../../components/network/calico/followProxy';
import { parseManifest } from '../../../components/network/manifest';
import { ApiServer, program, until } from '../../plugins/kubernetes/apiServer';
import { FakeKubelet } from '../../plugins/kubernetes/fakeKubelet';
import { describeScripts } from '../../support/bashScripts';
import { expectGolden } from './golden';
import { UPSTREAM } from './release';

describeScripts([['follow-proxy.sh', renderFollowProxy('operator', 'nftables', 600)]], expectGolden);

/** With the kubectl, the API server and the controllers of Kubernetes, and pods that somebody reports as ready. */
describe('on an API server', () => {
  const NOTE = 'sitewright.internal/proxy-mode';
  const installation = '/apis/operator.tigera.io/v1/installations/default';
  const node = (namespace: string) => `/apis/apps/v1/namespaces/${namespace}/daemonsets/calico-node`;
  let server: ApiServer;
  let kubelet: FakeKubelet;

  beforeAll(async () => {
    server = await ApiServer.start();
    server.startControllers();
    kubelet = new FakeKubelet(server, null, ['one']);
    writeFileSync(join(server.dir, 'admin.conf'), server.kubeconfig(), { mode: 0o600 });
    await server.done('POST', '/api/v1/namespaces', { metadata: { name: 'calico-system' } });
    await until('kube-system', async () => (await server.find('/api/v1/namespaces/kube-system')) !== undefined);
    for (const namespace of ['kube-system', 'calico-system']) {
      const labels = { 'k8s-app': 'calico-node' };
      const pod = { tolerations: [{ operator: 'Exists' }], containers: [{ name: 'calico-node', image: 'calico' }] };
      await server.done('POST', node(namespace).replace(/\/calico-node$/, ''), {
        metadata: { name: 'calico-node' },
        spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } },
      });
    }
  });
  afterAll(async () => {
    await kubelet?.stop();
    await server?.stop();
  });

  async function follow(install: 'manifest' | 'operator', mode: 'ipvs' | 'nftables'): Promise<string> {
    const script = renderFollowProxy(install, mode, 100).replaceAll(
      '/etc/kubernetes/admin.conf',
      join(server.dir, 'admin.conf'),
    );
    const child = spawn('bash', ['-s'], {
      env: { ...process.env, KUBECACHEDIR: join(server.dir, 'kubectl') },
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (text) => (stderr += text));
    child.stdin.end(`kubectl() { ${program('kubernetes', 'kubectl')} "$@"; }\n${script}`);
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return stderr;
  }

  const pods = async (namespace: string) =>
    ((await server.find(`/api/v1/namespaces/${namespace}/pods`))!.items as { metadata: { uid: string } }[])
      .map(({ metadata }) => metadata.uid)
      .sort();
  const started = (namespace: string) =>
    until('the pods', async () => (await server.find(node(namespace)))?.status?.numberAvailable === 1);

  test('a new cluster keeps its pods, a changed mode makes them anew, and a repetition nothing', async () => {
    await started('kube-system');
    const first = await pods('kube-system');
    await follow('manifest', 'ipvs');
    expect((await server.find(node('kube-system')))!.metadata.annotations).toMatchObject({ [NOTE]: 'ipvs' });
    expect(await pods('kube-system')).toEqual(first);

    expect(await follow('manifest', 'nftables')).toContain('kube-proxy went from ipvs to nftables');
    const second = await pods('kube-system');
    expect(second.filter((uid) => first.includes(uid))).toEqual([]);
    const { metadata, status } = (await server.find(node('kube-system')))!;
    expect([metadata.annotations[NOTE], status.updatedNumberScheduled]).toEqual(['nftables', 1]);

    expect(await follow('manifest', 'nftables')).not.toContain('went from');
    expect(await pods('kube-system')).toEqual(second);
  });

  test("with the operator the mode goes through its Installation, whose definition takes the pods' annotations", async () => {
    const file = 'operator-crds.yaml';
    const kinds = parseManifest(file, readFileSync(join(UPSTREAM, 'calico-v3.32.1', file), 'utf8'));
    const kind = kinds.find(({ metadata }) => metadata.name === 'installations.operator.tigera.io')!;
    await server.done('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', kind);
    await until('its kind', async () => (await server.find(installation.replace(/\/default$/, ''))) !== undefined);
    const made = { apiVersion: 'operator.tigera.io/v1', kind: 'Installation', metadata: { name: 'default' }, spec: {} };
    await server.done('POST', installation.replace(/\/default$/, ''), made);
    await started('calico-system');
    await follow('operator', 'ipvs');
    const before = await pods('calico-system');

    // What the operator does with it.
    const operator = until('annotations of the pods', async () => {
      const template = (await server.find(installation))!.spec.calicoNodeDaemonSet?.spec.template;
      if (template === undefined) return false;
      await server.edit(node('calico-system'), { spec: { template } }, 'operator');
      return true;
    });
    await Promise.all([operator, follow('operator', 'nftables')]);
    expect((await pods('calico-system')).filter((uid) => before.includes(uid))).toEqual([]);
    expect((await server.find(installation))!.metadata.annotations[NOTE]).toBe('nftables');
  });
});
