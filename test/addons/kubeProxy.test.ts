import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { configurationFiles } from '../../components/addons/kubeProxy';
import { cleanupScript, KUBE_PROXY, rulesScript } from '../../components/addons/kubeProxyScripts';
import type { ClusterPlan, KubeProxyPlan } from '../../components/plan/clusterTypes';
import { clusterPlan, named, recordAddons, withScheduler } from './fixtures';

/* eslint-disable @typescript-eslint/no-explicit-any */
const daemonSetOf = async (plan: ClusterPlan): Promise<any> =>
  named(await recordAddons(plan), 'kube-proxy-daemonset').inputs;
const configurationOf = async (plan: ClusterPlan): Promise<any> =>
  named(await recordAddons(plan), 'kube-proxy-configuration').inputs;

test('the configuration is the planned one, and a kubeconfig that goes to the endpoint by its name', () => {
  const files = configurationFiles(clusterPlan);
  expect(parse(files['config.conf']!)).toEqual(clusterPlan.kubeProxy.configuration);
  const kubeconfig = parse(files['kubeconfig.conf']!);
  expect(kubeconfig.clusters[0].cluster.server).toBe('https://api.oslo.internal:6443');
  expect(kubeconfig.users[0].user.tokenFile).toBe('/var/run/secrets/kubernetes.io/serviceaccount/token');
});

test('the pods mount the files where the configuration looks for them', async () => {
  const { spec } = (await daemonSetOf(clusterPlan)).spec.template;
  const folder = spec.containers[0].volumeMounts.find((mount: any) => mount.name === 'configuration').mountPath;
  expect(spec.containers[0].command).toContain(`--config=${folder}/config.conf`);
  expect((clusterPlan.kubeProxy.configuration.clientConnection as any).kubeconfig).toBe(`${folder}/kubeconfig.conf`);
});

test.each([
  ['another scheduler', withScheduler('wlc')],
  ['an endpoint that moved', { ...clusterPlan, endpoint: { ...clusterPlan.endpoint, address: '192.0.2.9' } }],
])('%s: the ConfigMap changes in place, and the pods are made anew one by one', async (_, changed) => {
  const [before, after] = [await configurationOf(clusterPlan), await configurationOf(changed)];
  expect(after.metadata).toEqual(before.metadata);
  expect(after.data).toEqual(configurationFiles(changed));

  const [old, daemonSet] = [await daemonSetOf(clusterPlan), await daemonSetOf(changed)];
  const { annotations } = daemonSet.spec.template.metadata;
  expect(annotations).not.toEqual(old.spec.template.metadata.annotations);
  expect(daemonSet.spec.updateStrategy).toEqual({ type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } });
  const volume = daemonSet.spec.template.spec.volumes.find((one: any) => one.name === 'configuration');
  expect(volume.configMap.name).toBe(after.metadata.name);
});

test('the same configuration makes no new pods', async () => {
  expect(await daemonSetOf(clusterPlan)).toEqual(await daemonSetOf(structuredClone(clusterPlan)));
});

const inMode = (mode: KubeProxyPlan['mode']): KubeProxyPlan => ({ ...clusterPlan.kubeProxy, mode });

describe('rules of the API server are looked for in what the mode makes', () => {
  const ipVs = [
    'IP Virtual Server version 1.2.1 (size=4096)',
    'Prot LocalAddress:Port Scheduler Flags',
    '  -> RemoteAddress:Port Forward Weight ActiveConn InActConn',
    'TCP  0A60000A:0035 rr  ',
    '  -> 0AF4000B:0035      Masq    1      0          0         ',
    'TCP  0A600001:01BB rr  ',
    '  -> C000020B:192B      Masq    1      2          0         ',
    'TCP  [fd00:0096:0000:0000:0000:0000:0000:0001]:01BB rr  ',
    '',
  ].join('\n');
  const nft = `table ip kube-proxy {
	map service-ips {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { 10.96.0.10 . udp . 53 : goto service-X, 10.96.0.1 . tcp . 443 : goto service-2QRHZV4L-default/kubernetes/tcp/https }
	}
}
`;
  const iptables = `-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y\n`;

  /** Exit code of the script where the programs print `found`. */
  function check(plan: KubeProxyPlan, address: string, found: string): number | null {
    return inFolder((folder) => {
      writeFileSync(join(folder, 'found'), found);
      for (const name of ['nft', 'iptables-save', 'ip6tables-save']) program(folder, name, `cat ${folder}/found`);
      return run(folder, rulesScript(plan, address).replace('/proc/net/ip_vs', `${folder}/found`)).status;
    });
  }

  test.each<[KubeProxyPlan['mode'], string, string]>([
    ['ipvs', '10.96.0.1', ipVs],
    ['ipvs', 'fd00:96::1', ipVs],
    ['nftables', '10.96.0.1', nft],
    ['nftables', 'fd00:96::1', nft.replace('10.96.0.1 ', 'fd00:96::1 ')],
    ['iptables', '10.96.0.1', iptables],
    ['iptables', 'fd00:96::1', iptables.replace('10.96.0.1/32', 'fd00:96::1/128')],
  ])('%s, %s', (mode, address, found) => {
    const plan = inMode(mode);
    expect(check(plan, address, found)).toBe(0);
    const other = address.includes(':') ? 'fd00:96::2' : '10.96.0.2';
    expect(check(plan, other, found)).not.toBe(0);
    expect(check(plan, address, '')).not.toBe(0);
  });

  test('mode ipvs: with the planned scheduler', () => {
    expect(check(withScheduler('wlc').kubeProxy, '10.96.0.1', ipVs)).not.toBe(0);
    expect(check(withScheduler('wlc').kubeProxy, '10.96.0.1', ipVs.replace(/ rr /g, ' wlc '))).toBe(0);
  });

  test('a Service has the family that comes first', async () => {
    const { startupProbe } = (await daemonSetOf(clusterPlan)).spec.template.spec.containers[0];
    expect(startupProbe.exec.command.at(-1)).toBe(rulesScript(clusterPlan.kubeProxy, '10.96.0.1'));
  });
});

describe('rules of the mode before', () => {
  /** Runs the clean-up where iptables-save prints `rules`; `--cleanup` empties them unless it does nothing. */
  function clean(rules: string, cleanup: 'works' | 'does nothing' = 'works') {
    return inFolder((folder) => {
      writeFileSync(join(folder, 'rules'), rules);
      program(folder, 'iptables-save', `cat ${folder}/rules`);
      program(folder, 'ip6tables-save', 'exit 1');
      // The exit code that a node without IPv6 tables has.
      const removes = cleanup === 'works' ? `: > ${folder}/rules` : ':';
      program(folder, 'kube-proxy', `echo called with "$@"; ${removes}; exit 1`);
      return run(folder, cleanupScript('ipvs')!.replaceAll(KUBE_PROXY, `${folder}/kube-proxy`));
    });
  }

  test('are removed', () => {
    const { status, stdout } = clean('*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SEP-ABCDEFGH - [0:0]\n');
    expect(stdout).toContain('called with --cleanup');
    expect(status).toBe(0);
  });

  test('stop the pod when they stay', () => {
    expect(clean(':KUBE-SEP-ABCDEFGH - [0:0]\n', 'does nothing').status).toBe(1);
  });

  test('are not there after a restart in the same mode, and nothing is removed', () => {
    expect(clean('*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n')).toMatchObject({ status: 0, stdout: '' });
  });

  test('are removed by kube-proxy itself where nftables is one of the two', async () => {
    expect(cleanupScript('nftables')).toBeNull();
    const nftables = await daemonSetOf({ ...clusterPlan, kubeProxy: inMode('nftables') });
    expect(nftables.spec.template.spec.initContainers).toEqual([]);
    expect((await daemonSetOf(clusterPlan)).spec.template.spec.initContainers).toHaveLength(1);
  });

  test('of ipvs are known by its device', () => {
    expect(inFolder((folder) => run(folder, cleanupScript('iptables')!))).toMatchObject({ status: 0, stdout: '' });
    const there = inFolder((folder) => {
      writeFileSync(join(folder, 'kube-ipvs0'), '');
      program(folder, 'kube-proxy', `rm ${folder}/kube-ipvs0`);
      const script = cleanupScript('iptables')!
        .replace('/sys/class/net', folder)
        .replaceAll(KUBE_PROXY, `${folder}/kube-proxy`);
      return run(folder, script);
    });
    expect(there).toMatchObject({ status: 0, stdout: expect.stringContaining('step: removing') });
  });
});

function inFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'kube-proxy-'));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function program(folder: string, name: string, body: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`);
  chmodSync(join(folder, name), 0o755);
}

/** As the pod does: with the plain shell. Programs of the folder come first. */
function run(folder: string, script: string) {
  return spawnSync('sh', ['-c', script], { encoding: 'utf8', env: { PATH: `${folder}:${process.env.PATH}` } });
}
