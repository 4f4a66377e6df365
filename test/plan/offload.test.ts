import { planOffloads, type OffloadNeeds } from '../../components/plan/offload';
import { clusterSite } from './clusterSite';
import { controlPlane, findingsOf, kvmSite, planOf, siteOf } from './site';

const summary = (rules: ReturnType<typeof planOffloads>) =>
  rules.map((rule) => [
    rule.device,
    rule.driver,
    rule.kernel.max,
    ...rule.features.map((feature) => `${feature.name} ${feature.value}`),
    ...rule.rings.map((ring) => `${ring.name} ${ring.entries}`),
  ]);

const gro = ['nic', null, null, 'gro on'];

const needs = (more: Partial<OffloadNeeds> = {}): OffloadNeeds => ({
  ...{ vxlan: false, devices: [], esxi: undefined, txChecksumIpGeneric: 'auto', ...more },
});
const VXLAN = needs({ vxlan: true, devices: ['vxlan.calico'] });

test('vmxnet3 loses LRO always and tunnel offloads with VXLAN; vxlan.calico its checksum on old kernels', () => {
  const lro = ['nic', 'vmxnet3', null, 'lro off'];
  const rings = ['nic', 'vmxnet3', null, 'rx 1024'];
  expect(summary(planOffloads(needs(), 'vmxnet3'))).toEqual([lro, gro, rings]);
  const tunnel = ['nic', 'vmxnet3', null, 'tx-udp_tnl-segmentation off', 'tx-udp_tnl-csum-segmentation off'];
  expect(summary(planOffloads(VXLAN, 'vmxnet3'))).toEqual([
    lro,
    gro,
    tunnel,
    ['vxlan.calico', null, '5.7', 'tx-checksum-ip-generic off'],
    rings,
  ]);
  // The dataplane bpf has VXLAN without a device.
  expect(summary(planOffloads(needs({ vxlan: true }), 'vmxnet3'))).toEqual([lro, gro, tunnel, rings]);
});

test('a known other driver leaves them out, an unknown one keeps them for the machine to decide', () => {
  expect(summary(planOffloads(needs(), 'virtio_net'))).toEqual([gro]);
  expect(summary(planOffloads(VXLAN, 'virtio_net'))).toEqual([
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

describe('what a site with Calico needs', () => {
  const site = (network: object, mode = 'ipvs') =>
    clusterSite({ network: { cni: 'calico', ...network }, more: { kubeProxy: { mode } } });
  const devices = (network: object, mode?: string) =>
    planOf(site(network, mode)).nodes[0].offloads.filter(({ device }) => device !== 'nic');

  test('both devices of VXLAN, where the site has both families', () => {
    const dual = siteOf('dual', 2, { kubernetes: { version: '1.36.1' }, kubeProxy: { mode: 'ipvs' } });
    Object.assign(dual.network as object, { cni: 'calico', routing: 'vxlan', calico: { vxlan: OFF } });
    const rules = planOf(dual).nodes[0].offloads.filter(({ device }) => device !== 'nic');
    expect(rules.map(({ id, device, kernel }) => [id, device, kernel.min, kernel.max])).toEqual([
      ['vxlan-checksum', 'vxlan.calico', null, '5.7'],
      ['vxlan-slow', 'vxlan.calico', '6.12', null],
      ['vxlan-v6-checksum', 'vxlan-v6.calico', null, '5.7'],
      ['vxlan-v6-slow', 'vxlan-v6.calico', '6.12', null],
    ]);
  });

  const OFF = { txChecksumIpGeneric: 'off' };

  test('the checksum of newer kernels is for the site file to turn off', () => {
    expect(devices({ routing: 'vxlan' }).map(({ id }) => id)).toEqual(['vxlan-checksum']);
    expect(devices({ routing: 'vxlan', calico: { vxlan: OFF } })).toMatchObject([
      { id: 'vxlan-checksum' },
      {
        id: 'vxlan-slow',
        device: 'vxlan.calico',
        kernel: { min: '6.12', max: null },
        features: [{ name: 'tx-checksum-ip-generic', value: 'off' }],
      },
    ]);
    expect(findingsOf(site({ routing: 'bgp', calico: { vxlan: OFF } }))).toContain(
      'error network.calico.vxlan.txChecksumIpGeneric: routing bgp has no device of VXLAN to set it on: leave it out',
    );
  });

  test('the dataplane bpf has VXLAN for Services, whatever the routing is', () => {
    const ids = (dataplane: string, mode: string) => {
      const plain = siteOf('v4', 2, { kubernetes: { version: '1.36.1' }, kubeProxy: { mode } });
      Object.assign(plain.network as object, { cni: 'calico', routing: 'bgp', calico: { dataplane } });
      return planOf(plain).nodes[0].offloads.map(({ id }) => id);
    };
    expect(ids('iptables', 'ipvs')).not.toContain('vmxnet3-vxlan');
    expect(ids('bpf', 'iptables')).toContain('vmxnet3-vxlan');
  });
});
