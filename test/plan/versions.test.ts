import { containerdConfigVersion, etcdProblem, proxyGate, upgradeProblem } from '../../components/plan/versions';
import { clusterSite, smallCluster } from './clusterSite';
import { findingsOf, planOf } from './site';

const bundleOf = (version: string, from: string) =>
  planOf(smallCluster({ kubernetes: { version }, more: { artifacts: { from } } })).cluster!.bundle;

test('a bundle names its components and images by origin', () => {
  const source = bundleOf('1.36.3', 'source');
  expect(source.name).toBe('source-1.36.3');
  expect(source.components.map(({ name, version }) => `${name} ${version}`)).toEqual([
    'cni-plugins 1.9.1',
    'containerd 1.6.20',
    'coredns 1.14.7',
    'cri-tools 1.36.0',
    'etcd 3.6.5',
    'kubernetes 1.36.3',
    'pause 3.10.2',
    'runc 1.1.5',
    'toolbox bookworm',
  ]);
  expect(source.images).toMatchObject({
    'kube-apiserver': 'bundle.sitewright.internal/kube-apiserver:v1.36.3',
    etcd: 'bundle.sitewright.internal/etcd:3.6.5',
    coredns: 'bundle.sitewright.internal/coredns:v1.14.7',
    toolbox: 'bundle.sitewright.internal/toolbox:bookworm',
  });
  // What kubeadm of these minors asks for.
  expect(bundleOf('1.36.1', 'upstream').images).toMatchObject({
    etcd: 'registry.k8s.io/etcd:3.6.8-0',
    coredns: 'registry.k8s.io/coredns/coredns:v1.14.2',
    pause: 'registry.k8s.io/pause:3.10.2',
  });
  expect(bundleOf('1.36.1', 'upstream').images).not.toHaveProperty('toolbox');
  expect(bundleOf('1.37.2', 'upstream').images).toMatchObject({
    'kube-apiserver': 'registry.k8s.io/kube-apiserver:v1.37.2',
    etcd: 'registry.k8s.io/etcd:3.7.0-0',
    coredns: 'registry.k8s.io/coredns/coredns:v1.14.6',
    pause: 'registry.k8s.io/pause:3.10.2',
  });
  expect(bundleOf('1.35.4', 'upstream').images).toMatchObject({
    etcd: 'registry.k8s.io/etcd:3.6.6-0',
    coredns: 'registry.k8s.io/coredns/coredns:v1.13.1',
    pause: 'registry.k8s.io/pause:3.10.1',
  });
});

test('an unknown version is refused with the ones that are known', () => {
  const refused = (version: string, from: string, allowed: string) =>
    expect(findingsOf(clusterSite({ kubernetes: { version }, more: { artifacts: { from } } }))).toEqual([
      `error kubernetes.version: ${version} is not supported with artifacts.from ${from}: choose ${allowed}`,
    ]);
  refused('1.34.0', 'upstream', '1.35.x or 1.36.x or 1.37.x');
  refused('1.38.0', 'upstream', '1.35.x or 1.36.x or 1.37.x');
  refused('1.37.2', 'source', '1.36.1 or 1.36.3');
  refused('1.36.2', 'source', '1.36.1 or 1.36.3');
  refused('1.35.4', 'source', '1.36.1 or 1.36.3');
});

test('containerd reads its own layout', () => {
  expect(['1.6.20', '1.7.0', '2.0.0', '2.2.9', '2.3.0', '2.4.1'].map(containerdConfigVersion)).toEqual([
    2, 2, 3, 3, 4, 4,
  ]);
});

describe('ipvs', () => {
  const at = (version: string) => proxyGate('ipvs', version);

  test('is deprecated from 1.35, behind a gate from 1.40, and gone from 1.43', () => {
    expect(at('1.34.9')).toEqual({ featureGates: {}, problem: null });
    expect(at('1.35.0')).toMatchObject({ featureGates: {}, problem: { severity: 'warning' } });
    // The gate is there from 1.37 on, and on.
    expect(at('1.37.2')).toMatchObject({ featureGates: {}, problem: { severity: 'warning' } });
    expect(at('1.39.9')).toMatchObject({ featureGates: {}, problem: { severity: 'warning' } });
    expect(at('1.40.0')).toMatchObject({ featureGates: { KubeProxyIPVS: true }, problem: { severity: 'warning' } });
    expect(at('1.42.9')).toMatchObject({ featureGates: { KubeProxyIPVS: true }, problem: { severity: 'warning' } });
    expect(at('1.43.0')).toEqual({
      featureGates: {},
      problem: {
        severity: 'error',
        message:
          'ipvs is gone from Kubernetes 1.43, and this is 1.43.0: set kubeProxy.mode to nftables, which needs kernel 5.13 on every node',
      },
    });
  });

  test('is the only mode that is', () => {
    expect(proxyGate('nftables', '1.43.0')).toEqual({ featureGates: {}, problem: null });
    expect(proxyGate('iptables', '1.43.0')).toEqual({ featureGates: {}, problem: null });
  });

  test('warns in the plan', () => {
    expect(findingsOf(clusterSite({ more: { kubeProxy: { mode: 'ipvs' } } }))).toEqual([
      expect.stringMatching(/^warning kubeProxy\.mode: ipvs is deprecated since Kubernetes 1\.35/),
    ]);
  });
});

test('a plan knows how long its minor gets fixes', () => {
  const untilOf = (version: string) =>
    planOf(smallCluster({ kubernetes: { version }, more: { artifacts: { from: 'upstream' } } })).cluster!
      .supportedUntil;
  expect(['1.35.4', '1.36.1', '1.37.2'].map(untilOf)).toEqual(['2027-02-28', '2027-06-28', '2027-10-28']);
});

test('an upgrade is one minor at a time, and never back', () => {
  expect(upgradeProblem('1.36.1', '1.36.1')).toBeNull();
  expect(upgradeProblem('1.36.1', '1.36.3')).toBeNull();
  expect(upgradeProblem('1.35.4', '1.36.1')).toBeNull();
  expect(upgradeProblem('1.36.3', '1.37.2')).toBeNull();
  expect(etcdProblem('3.6.5', bundleOf('1.37.2', 'upstream'))).toBeNull();
  expect(etcdProblem('3.7.0', bundleOf('1.36.3', 'upstream'))).toMatch(/has etcd 3\.6\.8, and 3\.7\.0 runs/);
  expect(upgradeProblem('1.36.3', '1.36.1')).toMatch(/^1\.36\.1 is older than the 1\.36\.3 that runs/);
  expect(upgradeProblem('1.35.0', '1.37.0')).toBe(
    '1.37.0 is more than one minor away from the 1.35.0 that runs: go to 1.36 first',
  );
});
