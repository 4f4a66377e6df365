import { computePlan } from '../../components/plan';
import { siteSchema } from '../../components/spec';
import { interleaved, print, seconds } from './measure';
import { siteOfMachines } from './plan';

/** From the parsed site file to every object of Calico, for all that a site can choose: what tests and reviews do again and again. */

const AXES = {
  routing: ['bgp', 'ipip', 'ipip-cross-subnet', 'vxlan', 'vxlan-cross-subnet'],
  wireguard: [false, true],
  dataplane: ['iptables', 'nftables', 'bpf'],
  install: ['manifest', 'operator'],
  families: ['v4', 'v6', 'dual'],
} as const;
type Mode = { [Key in keyof typeof AXES]: (typeof AXES)[Key][number] };

const MODES = Object.entries(AXES).reduce<object[]>(
  (all, [key, values]) => all.flatMap((mode) => values.map((value) => ({ ...mode, [key]: value }))),
  [{}],
) as Mode[];

/** ipvs beside the dataplane of iptables only, and no mode beside eBPF that it would replace. */
const KUBE_PROXY = { iptables: 'ipvs', nftables: 'nftables', bpf: 'iptables' } as const;

function siteOf({ routing, wireguard, dataplane, install, families }: Mode): unknown {
  const site = siteOfMachines(3);
  const of = (v4: string, v6: string) => [...(families === 'v6' ? [] : [v4]), ...(families === 'v4' ? [] : [v6])];
  return {
    ...site,
    underlay: {
      subnets: [
        {
          name: 'nodes',
          cidrs: of('172.16.0.0/16', '2001:db8:1::/64'),
          gateways: of('172.16.255.254', '2001:db8:1::ffff'),
        },
      ],
    },
    machines: {
      ...site.machines,
      nodes: site.machines.nodes.map((node, index) => ({
        ...node,
        role: index === 0 ? 'control-plane' : 'worker',
        addresses: of(node.addresses[0]!, `2001:db8:1::${index + 1}/64`),
      })),
    },
    kubernetes: { version: '1.36.1' },
    kubeProxy: { mode: KUBE_PROXY[dataplane] },
    network: {
      podCidrs: of('10.244.0.0/16', 'fd00:10:244::/56'),
      serviceCidrs: of('10.96.0.0/16', 'fd00:10:96::/112'),
      ...{ cni: 'calico', routing, wireguard, calico: { install, dataplane } },
    },
  };
}

/** How many bytes the objects of a mode have; 0 for one that the kit refuses. */
function render(mode: Mode): number {
  const calico = computePlan(siteSchema.parse(siteOf(mode)), '0.1.0').plan?.cluster?.calico;
  if (!calico) return 0;
  return JSON.stringify([calico.objects, calico.lateObjects, calico.operator, calico.manifest]).length;
}

export async function benchCalico(rounds: number, signal: AbortSignal): Promise<void> {
  // Not counted: what the first run of any code costs.
  const possible = MODES.filter((mode) => render(mode) > 0);
  const one = possible[0]!;
  const rows = await interleaved(
    [
      { name: 'one mode', run: () => seconds(() => render(one)) },
      {
        name: `${MODES.length} modes, ${possible.length} of them possible`,
        run: () => seconds(() => MODES.map(render)),
      },
    ],
    rounds,
    signal,
  );
  print('planning and writing every object of Calico', 's', rows);
}
