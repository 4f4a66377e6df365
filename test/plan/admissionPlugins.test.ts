import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { toYaml } from '../../components/cluster/documents';
import { admissionPluginsOf } from '../../components/plan/admissionPlugins';
import type { KubeDocument } from '../../components/plan/clusterTypes';
import { ApiServer, program } from '../plugins/kubernetes/apiServer';
import { clusterSite, smallCluster } from './clusterSite';
import { findingsOf, planOf } from './site';

const AT = 'kubernetes.admissionPlugins';
const site = (admissionPlugins: object, more: object = {}) =>
  clusterSite({ kubernetes: { ...more, admissionPlugins } });
const findings = (admissionPlugins: object, more: object = {}) => findingsOf(site(admissionPlugins, more));

type Arg = { name: string; value: string };
function admissionArgs(configuration: KubeDocument): string[] {
  const { extraArgs } = configuration.apiServer as { extraArgs: Arg[] };
  return extraArgs
    .filter(({ name }) => name.endsWith('able-admission-plugins'))
    .map(({ name, value }) => `${name}=${value}`);
}
const planned = (admissionPlugins: object) => planOf(site(admissionPlugins)).cluster!.kubeadm.clusterConfiguration;

test('without the key kubeadm and the API server decide', () => {
  expect(admissionArgs(planned({}))).toEqual([]);
  expect(admissionArgs(planned({ enable: ['NodeRestriction'] }))).toEqual([]);
});

test('what is enabled comes beside what kubeadm enables, in whatever order it is written', () => {
  const both = { enable: ['PodNodeSelector', 'DenyServiceExternalIPs', 'NodeRestriction'], disable: ['LimitRanger'] };
  expect(admissionArgs(planned(both))).toEqual([
    'disable-admission-plugins=LimitRanger',
    'enable-admission-plugins=NodeRestriction,DenyServiceExternalIPs,PodNodeSelector',
  ]);
});

describe('refused is', () => {
  test('a name that this version does not know, with those that it does', () => {
    const [unknown] = findings({ enable: ['PodSecurityPolicy'] });
    expect(unknown).toMatch(
      new RegExp(
        `^error ${AT}.enable.0: PodSecurityPolicy is no admission plugin of Kubernetes 1.36.1: choose from CertificateApproval, `,
      ),
    );
    // Neither can be enabled.
    expect(unknown).not.toMatch(/EventRateLimit|AlwaysDeny/);
    expect(findings({ disable: ['JobValidation'] })).toEqual([]);
    for (const version of ['1.35.4', '1.37.2']) {
      expect(findings({ disable: ['JobValidation'] }, { version })).toHaveLength(1);
    }
    expect(findings({ disable: ['PodResizeValidator'] }, { version: '1.37.2' })).toEqual([]);
  });

  test.each([
    ['NodeRestriction', 'a node that is taken over could change every other Node and the pods of all of them'],
    ['PodSecurity', 'kubernetes.podSecurity, and the levels of policy.namespaces, are enforced by it'],
  ])('to do without %s', (name, why) =>
    expect(findings({ disable: ['LimitRanger', name] })).toEqual([
      `error ${AT}.disable.1: ${name} cannot be disabled: ${why}. Leave it out`,
    ]),
  );

  test('what would stop the API server or the pods of the kit', () => {
    expect(findings({ enable: ['EventRateLimit', 'AlwaysPullImages'] })).toEqual([
      `error ${AT}.enable.0: EventRateLimit cannot be enabled: the API server does not start without a configuration of it, which a site file cannot give. Leave it out`,
      expect.stringContaining(
        `error ${AT}.enable.1: AlwaysPullImages cannot be enabled: every pod then asks a registry`,
      ),
    ]);
  });

  test('one that is enabled and disabled', () =>
    expect(findings({ enable: ['LimitRanger'], disable: ['LimitRanger'] })).toEqual([
      `error ${AT}.enable.0: LimitRanger is in ${AT}.disable too: keep one of the two`,
    ]));
});

describe('the real API server', () => {
  const version = '1.36.1';
  const { stdout } = spawnSync(program('kubernetes', 'kube-apiserver'), ['--help'], { encoding: 'utf8' });
  const flag =
    /--enable-admission-plugins strings .*\(([A-Za-z, ]+)\)\. Comma-delimited list of admission plugins: ([A-Za-z, ]+)\./;
  const [, byItself, known] = flag.exec(stdout)!.map((names) => names.split(', '));

  test('knows the names', () => expect(admissionPluginsOf(version)).toEqual(known));

  const allowed = (list: 'enable' | 'disable') =>
    known!
      .filter((name) => byItself!.includes(name) === (list === 'disable'))
      .filter((name) => findings({ [list]: [name] }).length === 0);
  const disable = allowed('disable');
  const enable = allowed('enable');
  const { clusterConfiguration } = planOf(
    smallCluster({ kubernetes: { version, admissionPlugins: { enable, disable } } }),
  ).cluster!.kubeadm;

  test('is given each that may be changed once, by the real kubeadm', () => {
    const folder = mkdtempSync(join(tmpdir(), 'kubeadm-'));
    try {
      const file = join(folder, 'kubeadm.yaml');
      const init = {
        apiVersion: 'kubeadm.k8s.io/v1beta4',
        kind: 'InitConfiguration',
        localAPIEndpoint: { advertiseAddress: '192.0.1.11' },
        nodeRegistration: { criSocket: 'unix:///run/containerd/containerd.sock' },
      };
      writeFileSync(file, toYaml(init, clusterConfiguration));
      const { status, stderr } = spawnSync(
        program('kubernetes', 'kubeadm'),
        ['init', 'phase', 'control-plane', 'apiserver', '--dry-run', '--config', file],
        { encoding: 'utf8', env: { ...process.env, KUBEADM_INIT_DRYRUN_DIR: folder } },
      );
      expect([status, stderr]).toEqual([0, expect.anything()]);
      const pod = parse(readFileSync(join(folder, 'kube-apiserver.yaml'), 'utf8')) as {
        spec: { containers: { command: string[] }[] };
      };
      expect(pod.spec.containers[0]!.command.filter((word) => word.includes('able-admission-plugins'))).toEqual(
        admissionArgs(clusterConfiguration).map((word) => `--${word}`),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('starts with and without those that may be changed', async () => {
    const args = admissionArgs(clusterConfiguration).map((word) => `--${word}`);
    const server = await ApiServer.start(undefined, args);
    try {
      const loaded = readFileSync(join(server.dir, 'kube-apiserver.log'), 'utf8')
        .split('\n')
        .filter((line) => line.includes('admission controller(s) successfully'))
        .flatMap((line) =>
          line
            .slice(line.indexOf('order: ') + 'order: '.length)
            .replace(/\.$/, '')
            .split(','),
        );
      expect(loaded).toEqual(expect.arrayContaining(['NodeRestriction', 'PodSecurity', 'PodNodeSelector', ...enable]));
      expect(loaded.filter((name) => disable.includes(name))).toEqual([]);
      const service = {
        metadata: { name: 'outside' },
        spec: { ports: [{ port: 80 }], externalIPs: ['192.0.2.1'] },
      };
      await expect(server.done('POST', '/api/v1/namespaces/default/services', service)).rejects.toThrow(/external IPs/);
    } finally {
      await server.stop();
    }
  });
});
