import { join, resolve } from 'node:path';
import { computePlan, renderPlan, type SitePlan } from '../../components/plan';
import { formatProblem, loadSite, toProblems } from '../../components/spec';
import { version } from '../../package.json';

/** The worked examples with Calico are what their own comments say. */

function planOfExample(site: string): { plan: SitePlan; warnings: string[]; text: string } {
  const loaded = loadSite({ stacksDir: resolve(join(__dirname, '../../stacks')), site, kitVersion: version });
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  const { plan, findings } = computePlan(loaded.spec, version);
  const problems = toProblems(findings, loaded.source).map(formatProblem);
  if (plan === null) throw new Error(problems.join('\n'));
  return { plan, warnings: problems, text: renderPlan(plan, { color: false }) };
}

test('KVM with NVMe: BGP without a tunnel, ipvs, a router with a password, ingress in the network of the workers', () => {
  const { plan, warnings, text } = planOfExample('calico-bgp-kvm');
  expect(plan.mtu).toMatchObject({ routing: 'bgp', podMtuBytes: 1500, devices: [{ name: 'veth', mtuBytes: 1500 }] });
  expect(plan.machines.kvm!.hypervisors.map(({ etcdPool }) => etcdPool)).toEqual(['nvme', 'nvme', 'nvme']);
  expect(plan.cluster!.kubeProxy.mode).toBe('ipvs');
  const calico = plan.cluster!.calico!;
  expect(calico).toMatchObject({ backend: 'bird', typha: null, bgp: { asNumber: 64512, mesh: true } });
  expect(calico.pools).toMatchObject([{ cidr: '10.244.0.0/16', ipip: 'Never', vxlan: 'Never' }]);
  expect(calico.objects).toContainEqual({
    apiVersion: 'crd.projectcalico.org/v1',
    kind: 'BGPPeer',
    metadata: { name: 'tor-rack1' },
    spec: {
      peerIP: '192.0.2.1',
      asNumber: 64601,
      password: { secretKeyRef: { name: 'sitewright-bgp-passwords', key: 'tor' } },
      filters: ['default-route-only'],
      maxRestartTime: '120s',
    },
  });
  const { controller, nodes, edits } = plan.cluster!.ingress!;
  expect({ controller, nodes, pod: edits.pod }).toMatchObject({
    ...{ controller: 'nginx', nodes: ['worker1', 'worker2', 'worker3'] },
    pod: { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' },
  });
  expect(edits.config).toEqual({
    ...{ 'client-max-body-size': '50m', 'proxy-connect-timeout': '15s', 'proxy-read-timeout': '600s' },
    ...{ 'proxy-send-timeout': '600s', 'external-status-address': 'apps.acme.example' },
    ...{ 'real-ip-header': 'X-Forwarded-For', 'real-ip-recursive': 'true', 'set-real-ip-from': '192.0.2.240/29' },
  });
  expect(warnings).toEqual([expect.stringMatching(/kubeProxy\.mode: warning: ipvs is deprecated/)]);
  expect(text).toMatch(/tor-rack1 +│ 192\.0\.2\.1 +│ 64601 +│ cp1, cp2, cp3 and 3 more +│ secret tor/);
});

test('two racks of a vCenter: IP-in-IP between them alone, 1480 bytes everywhere, a pool for each, no merged packets', () => {
  const { plan, text } = planOfExample('calico-two-racks');
  expect(plan.mtu.encapsulation).toEqual({ sameSubnet: 'none', crossSubnet: 'ipip' });
  expect(plan.mtu.devices).toEqual([
    { name: 'tunl0', mtuBytes: 1480 },
    { name: 'veth', mtuBytes: 1480 },
  ]);
  const { pools, manifest } = plan.cluster!.calico!;
  expect(pools.map(({ cidr, ipip, nodeSelector }) => [cidr, ipip, nodeSelector])).toEqual([
    ['10.244.0.0/17', 'CrossSubnet', "topology.kubernetes.io/zone == 'rack1'"],
    ['10.244.128.0/17', 'CrossSubnet', "topology.kubernetes.io/zone == 'rack2'"],
  ]);
  expect(manifest!.config).toMatchObject({ veth_mtu: '1480', calico_backend: 'bird' });
  expect(plan.machines.vsphere).not.toBeNull();
  for (const { interface: card, offloads } of plan.nodes) {
    expect(card.driver).toBe('vmxnet3');
    const features = offloads.flatMap((rule) => rule.features.map(({ name, value }) => `${name} ${value}`));
    // What VXLAN would need turned off too stays on.
    expect(features).toEqual(['lro off', 'gro on']);
  }
  expect(text).toMatch(/rack1 +│ 10\.244\.0\.0\/17 +│ \/26 +│ IP-in-IP between subnets/);
});

test('120 machines: Typha, and three reflectors instead of a mesh', () => {
  const { plan } = planOfExample('calico-large');
  const calico = plan.cluster!.calico!;
  expect(plan.nodes).toHaveLength(120);
  expect(calico.typha).toEqual({ replicas: 3 });
  expect(calico.manifest).toMatchObject({ file: 'calico-typha.yaml', typhaReplicas: 3 });
  expect(calico.bgp).toMatchObject({ mesh: false, routeReflectors: ['worker001', 'worker002', 'worker003'] });
  // The mesh ends only after everything else: until then every node has its routes from it.
  expect(calico.objects.some(({ kind }) => kind === 'BGPConfiguration')).toBe(false);
  expect(calico.lateObjects).toMatchObject([{ kind: 'BGPConfiguration', spec: { nodeToNodeMeshEnabled: false } }]);
});

test('jumbo frames: 8950 bytes in VXLAN, TCP kept going two ways', () => {
  const { plan } = planOfExample('calico-jumbo');
  expect(plan.mtu.podMtuBytes).toBe(8950);
  const { calico, podMasquerade } = plan.cluster!;
  expect(calico).toMatchObject({ backend: 'vxlan', bgp: null, mtuBytes: { veth: 8950, vxlan: 8950, ipip: null } });
  expect(podMasquerade!.ruleset).toMatch(/tcp flags syn tcp option maxseg size set rt mtu/);
  expect(podMasquerade!.ruleset).not.toMatch(/masquerade/);
  expect(calico!.manifest!.cniPluginsAdded).toEqual([{ type: 'tuning', sysctl: { 'net.ipv4.tcp_mtu_probing': '1' } }]);
});

test('WireGuard with both families: what the largest header leaves, and one number for the operator', () => {
  const { plan } = planOfExample('calico-wireguard');
  expect(plan.mtu.podMtuBytes).toBe(1420);
  const { operator, objects, mtuBytes } = plan.cluster!.calico!;
  expect(mtuBytes).toEqual({ veth: 1420, ipip: null, vxlan: 1420, vxlanV6: 1420, wireguard: 1420, wireguardV6: 1420 });
  expect(operator).toMatchObject([
    {
      kind: 'Installation',
      spec: {
        calicoNetwork: {
          bgp: 'Disabled',
          linuxDataplane: 'Nftables',
          mtu: 1420,
          ipPools: [{ encapsulation: 'VXLANCrossSubnet' }, { encapsulation: 'VXLANCrossSubnet', blockSize: 122 }],
        },
      },
    },
  ]);
  expect(objects.find(({ kind }) => kind === 'FelixConfiguration')!.spec).toMatchObject({
    wireguardEnabled: true,
    wireguardEnabledV6: true,
  });
});
