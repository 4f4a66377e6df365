import type { ClusterPlan } from '../../components/plan/clusterTypes';
import { clusterPlan, named, recordAddons } from './fixtures';

/* eslint-disable @typescript-eslint/no-explicit-any */
const withDns = (dns: Partial<ClusterPlan['dns']>): ClusterPlan => ({
  ...clusterPlan,
  dns: { ...clusterPlan.dns, ...dns },
});
const inputsOf = async (role: string, plan = clusterPlan): Promise<any> => named(await recordAddons(plan), role).inputs;

describe('CoreDNS', () => {
  test('has the planned addresses, in the order of the families', async () => {
    const { spec } = await inputsOf('dns-service');
    expect(spec).toMatchObject({
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10', 'fd00:96::a'],
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'RequireDualStack',
    });
    const single = await inputsOf('dns-service', withDns({ serviceAddresses: ['fd00:96::a'] }));
    expect(single.spec).toMatchObject({
      clusterIP: 'fd00:96::a',
      ipFamilies: ['IPv6'],
      ipFamilyPolicy: 'SingleStack',
    });
  });

  test('a changed Corefile changes the ConfigMap in place and no pod', async () => {
    const changed = withDns({ corefile: '.:53 {\n    errors\n}\n' });
    const [before, after] = [await inputsOf('dns-corefile'), await inputsOf('dns-corefile', changed)];
    expect(after.metadata).toEqual(before.metadata);
    expect(after.data).toEqual({ Corefile: changed.dns.corefile });
    expect(await inputsOf('dns-deployment', changed)).toEqual(await inputsOf('dns-deployment'));
  });

  test('one replica has no budget, which would stop every drain', async () => {
    const names = (await recordAddons(withDns({ replicas: 1 }))).map(({ name }) => name);
    expect(names).not.toContain('oslo-addons-dns-budget');
    const { spec } = await inputsOf('dns-budget');
    expect(spec).toEqual({ maxUnavailable: 1, selector: { matchLabels: { 'k8s-app': 'kube-dns' } } });
  });

  test('the Service, the budget and the spread select the pods of the Deployment', async () => {
    const { spec } = await inputsOf('dns-deployment');
    const { labels } = spec.template.metadata;
    expect(spec.replicas).toBe(2);
    expect(spec.selector.matchLabels).toEqual(labels);
    expect((await inputsOf('dns-service')).spec.selector).toEqual(labels);
    for (const { labelSelector } of spec.template.spec.topologySpreadConstraints)
      expect(labelSelector.matchLabels).toEqual(labels);
  });

  test('it may bind port 53 and nothing else of root', async () => {
    const { spec } = (await inputsOf('dns-deployment')).spec.template;
    expect(spec.containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
  });
});

describe('the node-local cache', () => {
  test('pods come after the address is on every node', async () => {
    const { dependencies } = named(await recordAddons(clusterPlan), 'node-local-dns-daemonset');
    expect(dependencies).toEqual(
      expect.arrayContaining(['cp1', 'w1'].map((machine) => `oslo-addons-node-local-dns-device-${machine}`)),
    );
  });

  test('the address is made again on a new machine, and goes with a machine of the kit', async () => {
    const resources = await recordAddons(clusterPlan);
    const [cp1, w1] = ['cp1', 'w1'].map((machine) => named(resources, `node-local-dns-device-${machine}`));
    expect(cp1!.inputs.stdin).toContain('# Machine uuid of cp1\n');
    expect(cp1!.dependencies).toContain('cp1-ssh');
    expect([cp1!.deletedWith, w1!.deletedWith]).toEqual(['cp1-domain', null]);
    expect(w1!.inputs.delete).toContain('nft delete table');
  });

  test('probes ask the address of the cache', async () => {
    const { spec } = (await inputsOf('node-local-dns-daemonset')).spec.template;
    const [{ readinessProbe, livenessProbe }] = spec.containers;
    expect([readinessProbe.tcpSocket.host, livenessProbe.httpGet.host]).toEqual(['169.254.20.10', '169.254.20.10']);
    expect(spec.hostNetwork).toBe(true);
  });

  test('node by node, and its Corefile changes in place', async () => {
    const changed = withDns({ nodeLocal: { address: '169.254.20.10', corefile: 'other' } });
    const before = await inputsOf('node-local-dns-daemonset');
    expect(before.spec.updateStrategy.rollingUpdate).toEqual({ maxUnavailable: 1 });
    expect(await inputsOf('node-local-dns-daemonset', changed)).toEqual(before);
    expect((await inputsOf('node-local-dns-corefile', changed)).data).toEqual({ Corefile: 'other' });
  });

  test('switched off, nothing of it is registered', async () => {
    const names = (await recordAddons(withDns({ nodeLocal: null }))).map(({ name }) => name);
    expect(names.filter((name) => name.includes('node-local'))).toEqual([]);
  });
});
