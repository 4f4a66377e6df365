import type { Bundle } from '../../components/bundle/lock';
import { renderRemoveScript } from '../../components/nodes/remove';
import { bundledPackages, offloadLines, renderNodeScript, sysctlPath } from '../../components/nodes/script';
import { kvmNode, site, vmxnet3Node } from './fixtures';
import { expectGolden } from './golden';
import { describeScripts } from '../support/bashScripts';

const index = {
  path: 'packages/debian-12/Packages',
  kind: 'package-index',
  component: 'debian-12',
  version: '12',
} as const;
const bundle: Bundle = {
  id: 'b1'.repeat(32),
  lock: {
    schemaVersion: 1,
    ...{ name: 'upstream-1.36.1-debian-12', from: 'upstream' },
    artifacts: [{ ...index, source: 'a test', sha256: 'a1'.repeat(32), sizeBytes: 1, licence: 'Apache-2.0' }],
  },
};
const withPackages = bundledPackages(bundle, { device: '/dev/disk/by-id/virtio-bundle' });

const WITH_PACKAGES = 'bundle-packages-adds.sh';
const scripts: [name: string, text: string][] = [
  ['kvm.sh', renderNodeScript(kvmNode, site)],
  ['existing-vmxnet3.sh', renderNodeScript(vmxnet3Node, site)],
  [WITH_PACKAGES, renderNodeScript(vmxnet3Node, site, withPackages)],
  ['remove.sh', renderRemoveScript(site.site)],
];
/** The rest of that script is golden once already. */
function added(text: string): string {
  const others = new Set(renderNodeScript(vmxnet3Node, site).split('\n'));
  return text
    .split('\n')
    .filter((line) => line === '' || !others.has(line))
    .join('\n')
    .replace(/\n{3,}/g, '\n\n');
}
describeScripts(scripts, (name, text) => expectGolden(name, name === WITH_PACKAGES ? added(text) : text));

test('nothing runs before the whole script has arrived', () => {
  const text = renderNodeScript(kvmNode, site);
  expect(text.trimEnd().split('\n').at(-1)).toBe('main </dev/null');
  expect(text.split('\n').filter((line) => line.startsWith('main '))).toHaveLength(1);
});

test('addresses are written as the kernel writes them', () => {
  const text = renderNodeScript(kvmNode, site);
  expect(text).toContain("ADDRESSES=('192.0.2.11/24' '2001:db8::11/64')");
  expect(text).not.toContain('2001:DB8');
});

test('a host route has no prefix length, as ip route shows it, and one in the file of networkd', () => {
  const node = {
    ...kvmNode,
    interface: { ...kvmNode.interface, routes: [{ to: '198.51.100.7/32', via: '192.0.2.2' }] },
  };
  const text = renderNodeScript(node, site);
  expect(text).toContain("ROUTES=('198.51.100.7 192.0.2.2')");
  expect(text).toContain('Destination=198.51.100.7/32\n');
});

test('values cannot leave their place in a file or in the script', () => {
  const node = {
    ...kvmNode,
    sysctls: [
      { key: 'kernel.core_pattern', value: "x'; touch /tmp/y\nkernel.panic = 1", reason: 'a\nkernel.panic = 1' },
    ],
  };
  const text = renderNodeScript(node, site);
  expect(text).toContain("# a kernel.panic = 1\nkernel.core_pattern = x'; touch /tmp/y kernel.panic = 1\n");
  expect(text).toContain(`SYSCTL_VALUES=('x'\\''; touch /tmp/y kernel.panic = 1')`);
});

test.each([
  ['net.ipv4.ip_forward', 'net/ipv4/ip_forward'],
  ['net.ipv4.conf.eth0/100.rp_filter', 'net/ipv4/conf/eth0.100/rp_filter'],
  ['net/ipv4/conf/eth0.100/rp_filter', 'net/ipv4/conf/eth0.100/rp_filter'],
  ['net.ipv4.conf.*.rp_filter', 'net/ipv4/conf/*/rp_filter'],
])('the sysctl %s is the file %s', (key, path) => expect(sysctlPath(key)).toBe(path));

test('an offload rule is one line for each value', () => {
  expect(offloadLines([...vmxnet3Node.offloads, ...kvmNode.offloads])).toEqual([
    'nic vmxnet3 - - -K lro off',
    'nic vmxnet3 - - -G rx 1024',
    'nic vmxnet3 - - -K tx-udp_tnl-segmentation off',
    'nic vmxnet3 - - -K tx-udp_tnl-csum-segmentation off',
    'vxlan.calico - 6.12 - -K tx-checksum-ip-generic off',
  ]);
});

test('a node needs the packages of what it does', () => {
  expect(renderNodeScript(kvmNode, site)).toContain("'ipset ipset' 'fio fio'");
  expect(renderNodeScript(vmxnet3Node, site)).not.toMatch(/PACKAGES=.*(ipset|fio)/);
});

test('packages come from a bundle that has some, and otherwise as the machine gets them', () => {
  expect(renderNodeScript(vmxnet3Node, site, withPackages)).toContain(
    `PACKAGE_INDEXES=('${'a1'.repeat(32)} packages/debian-12/Packages')`,
  );
  expect(bundledPackages(bundle, null)).toBeNull();
  expect(bundledPackages(null, null)).toBeNull();
  const without = { ...bundle, lock: { ...bundle.lock, artifacts: [] } };
  expect(bundledPackages(without, { directory: '/var/lib/sitewright/bundles/b1' })).toBeNull();
  expect(renderNodeScript(vmxnet3Node, site)).not.toContain('PACKAGE_INDEX');
});
