import { renderPlan } from '../../components/plan';
import { packageNames } from '../../components/plan/packages';
import { clusterSite, smallCluster } from './clusterSite';
import { controlPlane, findingsOf, kvmSite, planOf } from './site';

const archived = (name: string) => ({
  name,
  archive: 'https://mirror.acme.example/archive',
  securityArchive: 'https://mirror.acme.example/security',
});
const withPackages = (packages: string[], from = 'upstream') =>
  clusterSite({ more: { kubeProxy: { mode: 'nftables' }, artifacts: { from, packages: packages.map(archived) } } });

test('a bundle holds the packages of every role, for each distribution that the site names, under a name of its own', () => {
  const { bundle } = planOf(withPackages(['ubuntu-24.04', 'debian-12'])).cluster!;
  expect(bundle.name).toBe('upstream-1.36.1-debian-12-ubuntu-24.04');
  expect(bundle.packages.map(({ distribution }) => distribution)).toEqual(['debian-12', 'ubuntu-24.04']);
  for (const { names } of bundle.packages) {
    expect(names).toEqual(expect.arrayContaining(['conntrack', 'fio', 'haproxy', 'keepalived', 'systemd-timesyncd']));
  }
  // Sites with the same distributions share a lock, whatever their machines do.
  const other = planOf(
    smallCluster({ more: { artifacts: { from: 'upstream', packages: ['debian-12', 'ubuntu-24.04'].map(archived) } } }),
  );
  expect(other.cluster!.bundle).toEqual(bundle);
});

test('none are planned unless a site asks for them, and a bundle from source has none', () => {
  const { bundle } = planOf(withPackages([])).cluster!;
  expect(bundle).toMatchObject({ name: 'upstream-1.36.1', packages: [] });
  expect(findingsOf(withPackages(['debian-12'], 'source'))).toContain(
    'error artifacts.packages: a bundle from source holds no packages of distributions: leave it out, or set artifacts.from to upstream',
  );
  expect(findingsOf(withPackages(['debian-12', 'debian-12'])).join('\n')).toContain(
    'debian-12 is there twice: make one entry of both',
  );
});

test('every node has the language of the probes, and every one of a cluster nft, whatever its network is', () => {
  const calico = clusterSite({ network: { cni: 'calico' }, more: { kubeProxy: { mode: 'ipvs' } } });
  for (const site of [calico, withPackages([])]) {
    for (const node of planOf(site).nodes) {
      expect(packageNames(node)).toEqual(expect.arrayContaining(['nftables', 'python3']));
    }
  }
  const machine = planOf(kvmSite([controlPlane])).nodes[0]!;
  expect(packageNames(machine)).toContain('python3');
  expect(packageNames(machine)).not.toContain('nftables');
});

test('the plan tells what each role needs', () => {
  const plan = planOf(withPackages(['debian-12']));
  const [controlPlane, worker] = [plan.nodes[0]!, plan.nodes.at(-1)!];
  expect(packageNames(controlPlane)).toEqual(expect.arrayContaining(['fio', 'haproxy', 'keepalived']));
  expect(packageNames(worker)).not.toEqual(expect.arrayContaining(['keepalived']));
  // `sitewright debug` has no image in a bundle like this one.
  const tools = ['conntrack', 'iperf3', 'iproute2', 'iputils-ping', 'nftables', 'tcpdump'];
  for (const node of [controlPlane, worker]) expect(packageNames(node)).toEqual(expect.arrayContaining(tools));
  expect(packageNames({ ...worker, cluster: null })).not.toContain('iperf3');
  expect(packageNames({ ...worker, ntpServers: [] })).not.toContain('systemd-timesyncd');
  expect(packageNames({ ...worker, ntpServers: ['192.0.1.1'] })).toContain('systemd-timesyncd');
  const text = renderPlan(plan, { color: false });
  expect(text).toContain('Packages of debian 12 that the bundle has for machines that lack them');
  expect(text).toMatch(/control-plane .*conntrack, e2fsprogs, ethtool, fio, haproxy/);
  expect(renderPlan(planOf(withPackages([])), { color: false })).not.toContain('Packages of');
});
