import { planOffloads } from '../../components/plan/offload';
import { controlPlane, kvmSite, planOf, siteOf } from './site';

const summary = (rules: ReturnType<typeof planOffloads>) =>
  rules.map((rule) => [
    rule.device,
    rule.driver,
    rule.kernel.max,
    ...rule.features.map((feature) => `${feature.name} ${feature.value}`),
    ...rule.rings.map((ring) => `${ring.name} ${ring.entries}`),
  ]);

const gro = ['nic', null, null, 'gro on'];

test('vmxnet3 loses LRO always and tunnel offloads with VXLAN; vxlan.calico its checksum on old kernels', () => {
  const lro = ['nic', 'vmxnet3', null, 'lro off'];
  const rings = ['nic', 'vmxnet3', null, 'rx 1024'];
  expect(summary(planOffloads('bgp', 'vmxnet3'))).toEqual([lro, gro, rings]);
  expect(summary(planOffloads('ipip-cross-subnet', 'vmxnet3'))).toEqual([lro, gro, rings]);
  for (const routing of ['vxlan', 'vxlan-cross-subnet'] as const) {
    expect(summary(planOffloads(routing, 'vmxnet3'))).toEqual([
      lro,
      gro,
      ['nic', 'vmxnet3', null, 'tx-udp_tnl-segmentation off', 'tx-udp_tnl-csum-segmentation off'],
      ['vxlan.calico', null, '5.7', 'tx-checksum-ip-generic off'],
      rings,
    ]);
  }
});

test('a known other driver leaves them out, an unknown one keeps them for the machine to decide', () => {
  expect(summary(planOffloads('ipip', 'virtio_net'))).toEqual([gro]);
  expect(summary(planOffloads('vxlan', 'virtio_net'))).toEqual([
    gro,
    ['vxlan.calico', null, '5.7', 'tx-checksum-ip-generic off'],
  ]);
  expect(planOf(kvmSite([controlPlane])).nodes[0].offloads.map((rule) => rule.id)).toEqual(['gro']);
  expect(planOf(siteOf('v4', 1)).nodes[0].offloads.map((rule) => rule.id)).toEqual([
    'vmxnet3-lro',
    'gro',
    'vmxnet3-rings',
  ]);
});
