import type { SiteSpec } from '../spec/schema';
import { usesRoutes } from './cniRoutes';
import { refuseDuplicates, type Findings } from './findings';
import { BITS, contains, FAMILY_NAME, overlaps, parseIp, within, type Network } from './ip';
import type { Route, Subnet } from './subnets';
import type { Family, SpecPath } from './types';

export function checkClusterFamilies(
  spec: SiteSpec,
  pods: Network[],
  services: Network[],
  families: Family[],
  findings: Findings,
): void {
  const report = (key: string, texts: string[], networks: Network[]) =>
    networks.forEach((network, index) => {
      if (families.includes(network.family)) return;
      findings.error(
        ['network', key, index],
        texts[index],
        `${texts[index]} is ${FAMILY_NAME[network.family]} and the machines have no ${FAMILY_NAME[network.family]} ` +
          `address: give every machine one, or set network.${key} to ${families.map((family) => FAMILY_NAME[family]).join(' and ')} networks only`,
      );
    });
  report('podCidrs', spec.network.podCidrs, pods);
  report('serviceCidrs', spec.network.serviceCidrs, services);
  const order = (networks: Network[]) =>
    [...new Set(networks.map((network) => FAMILY_NAME[network.family]))].join(', ');
  if (order(pods) !== order(services)) {
    findings.error(
      ['network', 'serviceCidrs'],
      spec.network.serviceCidrs,
      `network.serviceCidrs has ${order(services)} and network.podCidrs has ${order(pods)}: ` +
        'both need the same families in the same order, the first is the primary one',
    );
  }
}

/** Addresses of one Calico block (networking facts, section 8: blockSize 26 and 122); every node needs a block. */
const BLOCK_PREFIX: Record<Family, number> = { ipv4: 26, ipv6: 122 };
/** Kubernetes refuses service networks of more than 20 bits, and kubeadm those of fewer than 10 addresses. */
const SERVICE_HOST_BITS = { most: 20, least: 4 };

export function checkClusterSizes(spec: SiteSpec, pods: Network[], services: Network[], findings: Findings): void {
  const nodeCount = spec.machines.nodes.length;
  // Networks of the nodes are larger than blocks, and stated pools have sizes of their own: each has its check elsewhere.
  const inBlocks = usesRoutes(spec) || spec.network.calico.pools.length > 0 ? [] : pods;
  inBlocks.forEach((network, index) => {
    const block = BLOCK_PREFIX[network.family];
    const blocks = network.prefix > block ? 0 : 2 ** (block - network.prefix);
    if (blocks >= nodeCount) return;
    const atMost = block - Math.ceil(Math.log2(nodeCount));
    findings.error(
      ['network', 'podCidrs', index],
      spec.network.podCidrs[index],
      `${network.text} is too small: it holds ${blocks} of the /${block} blocks and each of the ${nodeCount} machines needs one, ` +
        `so a prefix length of at most ${atMost}`,
    );
  });
  services.forEach((network, index) => {
    const bits = BITS[network.family];
    const [shortest, longest] = [bits - SERVICE_HOST_BITS.most, bits - SERVICE_HOST_BITS.least];
    if (network.prefix >= shortest && network.prefix <= longest) return;
    const [what, limit] =
      network.prefix < shortest
        ? ['large', `Kubernetes allows 20 bits of addresses, so a prefix length of at least ${shortest}`]
        : ['small', `kubeadm wants at least 10 addresses, so a prefix length of at most ${longest}`];
    findings.error(
      ['network', 'serviceCidrs', index],
      spec.network.serviceCidrs[index],
      `${network.text} is too ${what}: ${limit}`,
    );
  });
}

export function checkOverlaps(
  spec: SiteSpec,
  subnets: Subnet[],
  pods: Network[],
  services: Network[],
  routes: Route[],
  findings: Findings,
): void {
  const items = [
    ...subnets.flatMap((subnet) =>
      subnet.networks.map((network, index) => ({
        network,
        what: `subnet ${subnet.name}`,
        path: [...subnet.path, 'cidrs', index],
        given: spec.underlay.subnets[subnet.index].cidrs[index],
      })),
    ),
    ...pods.map((network, index) => ({
      network,
      what: 'the pod network',
      path: ['network', 'podCidrs', index],
      given: spec.network.podCidrs[index],
    })),
    ...services.map((network, index) => ({
      network,
      what: 'the service network',
      path: ['network', 'serviceCidrs', index],
      given: spec.network.serviceCidrs[index],
    })),
  ];
  const order = new Map(items.map((item, index) => [item, index]));
  for (const { outer, inner } of overlaps(items)) {
    // The one that comes later in the site file carries the message.
    const [first, later] =
      (order.get(outer) as number) < (order.get(inner) as number) ? [outer, inner] : [inner, outer];
    findings.error(
      later.path,
      later.given,
      `${later.network.text} overlaps ${first.what} (${first.network.text}): choose networks that share no address`,
    );
  }
  routes.forEach((route, index) => {
    const inside = [...pods, ...services].find((network) => within(network, route.to));
    if (!inside) return;
    findings.error(
      ['underlay', 'routes', index, 'to'],
      spec.underlay.routes[index].to,
      `${route.to.text} is inside the cluster's own ${inside.text}: a static route there would take its packets away`,
    );
  });
}

/** What machines and pods must reach outside the cluster cannot have an address of the cluster's own networks. */
export function checkReachedAddresses(
  spec: SiteSpec,
  pods: Network[],
  services: Network[],
  families: Family[],
  findings: Findings,
): void {
  const check = (text: string, path: SpecPath, what: string) => {
    const ip = parseIp(text);
    const inside = [...pods, ...services].find((network) => contains(network, ip));
    if (inside) {
      findings.error(path, text, `${text} is inside the cluster's own ${inside.text}: ${what} must be outside it`);
    } else if (!families.includes(ip.family)) {
      findings.error(
        path,
        text,
        `${text} is ${FAMILY_NAME[ip.family]} and the machines have no such address: ${what} would be out of reach`,
      );
    }
  };
  spec.underlay.dns.servers.forEach((text, index) => check(text, ['underlay', 'dns', 'servers', index], 'a resolver'));
  spec.checks.peers.forEach((peer, index) => check(peer.address, ['checks', 'peers', index, 'address'], 'a peer'));
  refuseDuplicates(
    spec.checks.peers.map((item, index) => ({
      key: item.name,
      path: ['checks', 'peers', index, 'name'],
      given: item.name,
      item,
    })),
    findings,
    (name) => `${name} is the name of another peer too: give each its own`,
  );
}
