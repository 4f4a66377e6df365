import type { SiteSpec } from '../spec/schema';
import type { CalicoPool } from './calicoTypes';
import { refuseDuplicates, type Findings } from './findings';
import { ZONE_LABEL } from './kubeValues';
import { FAMILY_NAME, overlaps, parseIp, within, type Network } from './ip';
import type { Family, MtuPlan, SpecPath } from './types';

/** Calico's own defaults (networking facts, section 8), and the lengths that its IPAM takes. */
export const BLOCK_SIZE: Record<Family, { initial: number; least: number; most: number }> = {
  ipv4: { initial: 26, least: 20, most: 32 },
  ipv6: { initial: 122, least: 116, most: 128 },
};
const ALL_NODES = 'all()';

type PoolSpec = SiteSpec['network']['calico']['pools'][number];

/** The pools of the site file, or one for each pod network. */
export function planPools(spec: SiteSpec, mtu: MtuPlan, findings: Findings): CalicoPool[] {
  const { pools } = spec.network.calico;
  const pods = spec.network.podCidrs.map((text) => parseIp(text).network);
  const modes = (family: Family) => encapsulation(mtu.routing, family);
  if (pools.length === 0) {
    return pods.map((network) => ({
      // What Calico calls the pools that it makes itself.
      name: `default-${network.family}-ippool`,
      family: network.family,
      cidr: network.text,
      blockSize: BLOCK_SIZE[network.family].initial,
      ...modes(network.family),
      natOutgoing: true,
      disabled: false,
      nodeSelector: ALL_NODES,
    }));
  }
  const networks = pools.map((pool) => parseIp(pool.cidr).network);
  pools.forEach((pool, index) => checkPool(spec, pool, networks[index], pods, index, findings));
  checkTogether(spec, networks, pods, findings);
  return pools.map((pool, index) => {
    const { family, text } = networks[index];
    return {
      name: pool.name,
      family,
      cidr: text,
      blockSize: pool.blockSize ?? BLOCK_SIZE[family].initial,
      ...modes(family),
      natOutgoing: pool.natOutgoing,
      disabled: pool.disabled,
      nodeSelector: pool.zone === undefined ? ALL_NODES : `${ZONE_LABEL} == '${pool.zone}'`,
    };
  });
}

function encapsulation(routing: MtuPlan['routing'], family: Family): Pick<CalicoPool, 'ipip' | 'vxlan'> {
  const mode = routing.endsWith('-cross-subnet') ? 'CrossSubnet' : 'Always';
  return {
    ipip: routing.startsWith('ipip') && family === 'ipv4' ? mode : 'Never',
    vxlan: routing.startsWith('vxlan') ? mode : 'Never',
  };
}

const poolPath = (index: number, key: string): SpecPath => ['network', 'calico', 'pools', index, key];

function checkPool(
  spec: SiteSpec,
  pool: PoolSpec,
  network: Network,
  pods: Network[],
  index: number,
  findings: Findings,
): void {
  const { family } = network;
  const refuse = (key: keyof PoolSpec, message: string) => findings.error(poolPath(index, key), pool[key], message);
  if (!pods.some((pod) => within(pod, network))) {
    const allowed = pods.map((pod) => pod.text).join(' or ');
    refuse('cidr', `${network.text} is outside network.podCidrs: choose a network inside ${allowed}`);
  }
  const { initial, least, most } = BLOCK_SIZE[family];
  const size = pool.blockSize ?? initial;
  if (size < least || size > most) {
    refuse(
      'blockSize',
      `${size} is no block size of ${FAMILY_NAME[family]}: choose ${least} to ${most}, or leave it out for ${initial}`,
    );
    return;
  }
  if (pool.disabled) return;
  const members = spec.machines.nodes.filter((node) => pool.zone === undefined || node.zone === pool.zone);
  if (members.length === 0) {
    const zones = [...new Set(spec.machines.nodes.flatMap(({ zone }) => zone ?? []))];
    const known = zones.length === 0 ? 'no machine has a zone' : `the zones of the machines are ${zones.join(', ')}`;
    refuse('zone', `no machine is in zone ${pool.zone}, and ${known}: use one of them or leave zone out`);
    return;
  }
  const blocks = network.prefix > size ? 0 : 2 ** (size - network.prefix);
  if (blocks >= members.length) return;
  const needed = network.prefix + Math.ceil(Math.log2(members.length));
  refuse(
    pool.blockSize === undefined ? 'cidr' : 'blockSize',
    `${network.text} holds ${blocks} blocks of /${size} and each of its ${members.length} machines needs one: ` +
      (needed <= most ? `use a blockSize of at least ${needed}, or a larger network` : 'use a larger network'),
  );
}

function checkTogether(spec: SiteSpec, networks: Network[], pods: Network[], findings: Findings): void {
  const { pools } = spec.network.calico;
  refuseDuplicates(
    pools.map((item, index) => ({ key: item.name, path: poolPath(index, 'name'), given: item.name, item })),
    findings,
    (name) => `${name} is the name of another pool too: give each its own`,
  );
  const items = networks.map((network, index) => ({ network, index }));
  for (const { outer, inner } of overlaps(items)) {
    const [first, later] = outer.index < inner.index ? [outer, inner] : [inner, outer];
    findings.error(
      poolPath(later.index, 'cidr'),
      pools[later.index].cidr,
      `${later.network.text} overlaps pool ${pools[first.index].name} (${first.network.text}): choose networks that share no address`,
    );
  }
  for (const { family } of pods) {
    const ofFamily = pools.filter((pool, index) => networks[index].family === family && !pool.disabled);
    const without = spec.machines.nodes.filter(
      (node) => !ofFamily.some((pool) => pool.zone === undefined || pool.zone === node.zone),
    );
    if (without.length === 0) continue;
    const names = without.map(({ name }) => name);
    const shown = names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
    findings.error(
      ['network', 'calico', 'pools'],
      undefined,
      `pods on ${shown} would get no ${FAMILY_NAME[family]} address: add a pool for the zone of these machines, or one without a zone, that is not disabled`,
    );
  }
}
