import { computePlan, type Finding, type SitePlan } from '../../components/plan';
import { siteSchema } from '../../components/spec/schema';

type Site = Record<string, unknown>;
type Node = Record<string, unknown>;

export const KIT = '0.1.0';
export const HOST_KEY = `ssh-ed25519 ${'A'.repeat(68)}`;

/** A second IPv6 or IPv4 segment is made by the numbers: subnet 1 is 192.0.1.0/24 and 2001:db8:1::/64. */
export const subnet = (number: number, families: 'v4' | 'v6' | 'dual' = 'v4', more: object = {}) => ({
  name: `s${number}`,
  cidrs: byFamily(families, [`192.0.${number}.0/24`], [`2001:db8:${number}::/64`]),
  gateways: byFamily(families, [`192.0.${number}.1`], [`2001:db8:${number}::1`]),
  ...more,
});

export const node = (name: string, subnetNumber: number, host: number, more: Node = {}): Node => ({
  name,
  role: 'worker',
  addresses: [`192.0.${subnetNumber}.${host}/24`],
  ...more,
});

export function byFamily<T>(families: 'v4' | 'v6' | 'dual', v4: T[], v6: T[]): T[] {
  return families === 'v4' ? v4 : families === 'v6' ? v6 : [...v4, ...v6];
}

/** Networks of pods and Services for the families of a site. */
export const clusterNetworks = (families: 'v4' | 'v6' | 'dual') => ({
  podCidrs: byFamily(families, ['10.244.0.0/16'], ['fd00:10:244::/56']),
  serviceCidrs: byFamily(families, ['10.96.0.0/16'], ['fd00:10:96::/112']),
});

/** Existing machines, a control plane first, on as many subnets as there are. */
export function siteOf(families: 'v4' | 'v6' | 'dual', subnetCount: number, more: Site = {}, mtu = 1500): Site {
  const numbers = Array.from({ length: subnetCount }, (_, index) => index + 1);
  return {
    name: 'oslo',
    kit: '^0.1.0',
    environment: 'staging',
    underlay: { mtu, subnets: numbers.map((number) => subnet(number, families)) },
    machines: {
      provider: 'existing',
      nodes: [1, 2].map((index) => {
        const home = numbers[(index - 1) % subnetCount];
        return {
          name: `n${index}`,
          role: index === 1 ? 'control-plane' : 'worker',
          addresses: byFamily(families, [`192.0.${home}.1${index}/24`], [`2001:db8:${home}::1${index}/64`]),
          ssh: { hostKey: HOST_KEY },
        };
      }),
    },
    network: clusterNetworks(families),
    ...more,
  };
}

/** One subnet of IPv4, virtual machines on one hypervisor; keys of `machines` can be added. */
export function kvmSite(nodes: Node[], machines: Site = {}, more: Site = {}): Site {
  return {
    name: 'oslo',
    kit: '^0.1.0',
    environment: 'staging',
    underlay: { subnets: [subnet(1)] },
    machines: {
      provider: 'kvm',
      defaults: { cpus: 2, memory: '4GiB', rootDisk: '20GiB' },
      kvm: { hypervisors: [{ name: 'hv1', connection: 'local' }], image: 'lab', network: { bridge: 'br0' } },
      nodes,
      ...machines,
    },
    ...more,
  };
}

export const controlPlane = node('cp1', 1, 11, { role: 'control-plane' });

export const compute = (site: Site) => computePlan(siteSchema.parse(site), KIT);

/** The plan of a site that must have one. */
export function planOf(site: Site): SitePlan {
  const { plan, findings } = compute(site);
  if (!plan) throw new Error(lines(findings).join('\n'));
  return plan;
}

/** Findings as `error machines.nodes.0.mac: message`. */
export const lines = (findings: Finding[]) =>
  findings.map((finding) => `${finding.severity} ${finding.path.join('.')}: ${finding.message}`);

export const findingsOf = (site: Site) => lines(compute(site).findings);
