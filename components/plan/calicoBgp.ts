import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import { advertisesServices, labelledReflectors } from './calicoModes';
import type { CalicoBgpPlan } from './calicoTypes';
import type { KubeDocument } from './clusterTypes';
import { refuseDuplicates, type Findings } from './findings';
import { bracketed, contains, overlaps, parseIp } from './ip';
import { ZONE_LABEL } from './kubeValues';
import type { SpecPath } from './types';

type BgpSpec = SiteSpec['network']['calico']['bgp'];
type PeerSpec = BgpSpec['peers'][number];

/** Every node speaks to every other up to this many (networking facts, section 8): sessions grow with the square. */
const MESH_NODES_AT_MOST = 100;
/** Of RFC 7607, RFC 6793 and RFC 7300: for no router to use. */
const RESERVED_AS: Record<number, string> = { 23456: 'AS_TRANS', 65535: 'reserved', 4294967295: 'reserved' };

export function planBgp(spec: SiteSpec, addressing: Addressing, findings: Findings): CalicoBgpPlan {
  const { bgp } = spec.network.calico;
  const labelled = labelledReflectors(spec);
  // What leaves takes its routes along; nobody is to depend on it from now on.
  const routeReflectors = labelled.filter(({ state }) => state === 'active').map(({ name }) => name);
  checkAs(bgp.asNumber, ['network', 'calico', 'bgp', 'asNumber'], findings);
  checkReflectors(spec, routeReflectors, findings);
  if (routeReflectors.length === 0) checkLastReflectors(spec, labelled, findings);
  checkPeers(spec, addressing, findings);
  checkFilters(bgp, findings);
  checkAdvertised(spec, findings);
  const mesh = routeReflectors.length === 0;
  return {
    asNumber: bgp.asNumber,
    mesh,
    routeReflectors,
    clusterId: mesh ? null : bgp.clusterId,
    peers: bgp.peers.map((peer) => ({
      name: peer.name,
      address: peer.address,
      asNumber: peer.asNumber,
      nodes: nodesOf(spec, peer).map((index) => spec.machines.nodes[index].name),
      passwordFrom: peer.passwordFrom ?? null,
    })),
  };
}

const nodesOf = (spec: SiteSpec, peer: PeerSpec): number[] =>
  spec.machines.nodes.flatMap((node, index) => {
    if (peer.node !== undefined) return node.name === peer.node ? [index] : [];
    return peer.zone === undefined || node.zone === peer.zone ? [index] : [];
  });

function checkAs(asNumber: number, path: SpecPath, findings: Findings): void {
  const reserved = RESERVED_AS[asNumber];
  if (reserved === undefined) return;
  findings.error(
    path,
    asNumber,
    `${asNumber} is ${reserved} and no AS number of a router: private ones are 64512 to 65534 and 4200000000 to 4294967294`,
  );
}

function checkReflectors(spec: SiteSpec, reflectors: string[], findings: Findings): void {
  const { routeReflectorLabel: label, clusterId } = spec.network.calico.bgp;
  const path = ['network', 'calico', 'bgp', 'routeReflectorLabel'];
  const count = spec.machines.nodes.length;
  if (parseIp(clusterId).family !== 'ipv4') {
    findings.error(
      ['network', 'calico', 'bgp', 'clusterId'],
      clusterId,
      `${clusterId} is IPv6: a cluster id is written as an IPv4 address`,
    );
  }
  if (labelledReflectors(spec).length === 0 && count > MESH_NODES_AT_MOST) {
    findings.error(
      path,
      label,
      `${count} machines would keep ${(count * (count - 1)) / 2} BGP sessions with each other, and at most ${MESH_NODES_AT_MOST} machines may: ` +
        `give at least 2 of them the label ${label} (machines.nodes[].labels), so that these reflect the routes`,
    );
  }
  if (reflectors.length === 1) {
    findings.warning(
      path,
      label,
      `${reflectors[0]} is the only machine with the label ${label}: without it no node learns a route; label a second one in another zone`,
    );
  }
}

/** The mesh is not back before they leave, and a site of many machines must not have one. */
function checkLastReflectors(spec: SiteSpec, leaving: SiteSpec['machines']['nodes'], findings: Findings): void {
  const { nodes } = spec.machines;
  const { routeReflectorLabel: label } = spec.network.calico.bgp;
  const staying = nodes.filter(({ state }) => state === 'active').length;
  const mesh =
    staying > MESH_NODES_AT_MOST
      ? ''
      : ', or first take the label off every machine and run up, so that each speaks to every other';
  for (const node of leaving) {
    findings.error(
      ['machines', 'nodes', nodes.indexOf(node), 'state'],
      node.state,
      `${node.name} reflects routes, and no machine with the label ${label} stays: give it to at least 2 that do${mesh}`,
    );
  }
}

function checkPeers(spec: SiteSpec, addressing: Addressing, findings: Findings): void {
  const { peers, filters } = spec.network.calico.bgp;
  const at = (index: number, key: string): SpecPath => ['network', 'calico', 'bgp', 'peers', index, key];
  refuseDuplicates(
    peers.map((item, index) => ({ key: item.name, path: at(index, 'name'), given: item.name, item })),
    findings,
    (name) => `${name} is the name of another peer too: give each its own`,
  );
  peers.forEach((peer, index) => {
    checkAs(peer.asNumber, at(index, 'asNumber'), findings);
    for (const name of peer.filters) {
      if (filters.some((filter) => filter.name === name)) continue;
      findings.error(
        at(index, 'filters'),
        name,
        `there is no ${name} in network.calico.bgp.filters: add it there or take it out here`,
      );
    }
    if (peer.node !== undefined && peer.zone !== undefined) {
      findings.error(at(index, 'zone'), peer.zone, `${peer.name} has a node and a zone: leave one of them out`);
      return;
    }
    const members = nodesOf(spec, peer);
    if (members.length === 0) {
      const key = peer.node === undefined ? 'zone' : 'node';
      findings.error(
        at(index, key),
        peer[key],
        `no machine ${key === 'node' ? 'is named' : 'is in zone'} ${peer[key]}: nobody would speak to ${peer.name}`,
      );
      return;
    }
    checkReach(spec, addressing, peer, members, at(index, 'address'), findings);
  });
}

/** A router that is more than one hop away is reached by routes that it would have to bring itself. */
function checkReach(
  spec: SiteSpec,
  addressing: Addressing,
  peer: PeerSpec,
  members: number[],
  path: SpecPath,
  findings: Findings,
): void {
  const address = parseIp(peer.address);
  const reach = members.filter((index) =>
    addressing.nodes[index].subnet?.networks.some((network) => contains(network, address)),
  );
  if (reach.length === members.length) return;
  const who = peer.node ?? (peer.zone === undefined ? 'every machine' : `zone ${peer.zone}`);
  if (reach.length === 0) {
    findings.error(
      path,
      peer.address,
      `${peer.address} is in no subnet of ${who}, so none of these machines reaches ${peer.name}: use the router's address in their subnet`,
    );
    return;
  }
  const far = spec.machines.nodes[members.find((index) => !reach.includes(index))!].name;
  findings.warning(
    path,
    peer.address,
    `${peer.address} is in the subnet of ${reach.length} of the ${members.length} machines of ${who}, and ${far} has to cross a router to it: say with zone or node who speaks to ${peer.name}`,
  );
}

function checkFilters(bgp: BgpSpec, findings: Findings): void {
  refuseDuplicates(
    bgp.filters.map((item, index) => ({
      key: item.name,
      path: ['network', 'calico', 'bgp', 'filters', index, 'name'],
      given: item.name,
      item,
    })),
    findings,
    (name) => `${name} is the name of another filter too: give each its own`,
  );
}

function checkAdvertised(spec: SiteSpec, findings: Findings): void {
  const { advertise, peers } = spec.network.calico.bgp;
  const path = ['network', 'calico', 'bgp', 'advertise'];
  const own = [
    ...spec.network.podCidrs.map((text) => ({ network: parseIp(text).network, what: 'network.podCidrs' })),
    ...spec.network.serviceCidrs.map((text) => ({ network: parseIp(text).network, what: 'network.serviceCidrs' })),
  ];
  for (const key of ['externalCidrs', 'loadBalancerCidrs'] as const) {
    advertise[key].forEach((text, index) => {
      const item = { network: parseIp(text).network, what: key };
      for (const { outer, inner } of overlaps([...own, item])) {
        const other = outer === item ? inner : inner === item ? outer : null;
        if (other === null) continue;
        findings.error(
          [...path, key, index],
          text,
          `${text} overlaps ${other.what} (${other.network.text}): these addresses belong to Services from outside the cluster's own networks`,
        );
      }
    });
  }
  if (advertisesServices(spec) && peers.length === 0) {
    findings.warning(
      path,
      undefined,
      'addresses of Services are advertised, and there is no network.calico.bgp.peers to hear of them',
    );
  }
}

/** Name and key of the Secret that has the passwords of sessions, by the name of the password. */
export const BGP_SECRET = 'sitewright-bgp-passwords';

/** An object of Calico's own API, as calico-node stores it. */
export const calicoObject = (kind: string, name: string, spec: object): KubeDocument => ({
  apiVersion: 'crd.projectcalico.org/v1',
  kind,
  metadata: { name },
  spec,
});

export function bgpConfiguration(spec: SiteSpec, plan: CalicoBgpPlan): KubeDocument {
  const { advertise } = spec.network.calico.bgp;
  const blocks = (cidrs: readonly string[]) => cidrs.map((text) => ({ cidr: parseIp(text).network.text }));
  const list = (key: string, cidrs: readonly string[]) => (cidrs.length === 0 ? {} : { [key]: blocks(cidrs) });
  return calicoObject('BGPConfiguration', 'default', {
    asNumber: plan.asNumber,
    nodeToNodeMeshEnabled: plan.mesh,
    ...list('serviceClusterIPs', advertise.serviceIps ? spec.network.serviceCidrs : []),
    ...list('serviceExternalIPs', advertise.externalCidrs),
    ...list('serviceLoadBalancerIPs', advertise.loadBalancerCidrs),
  });
}

/** Filters, sessions to routers, and to the reflectors; filters first, because sessions name them. */
export function bgpObjects(spec: SiteSpec, plan: CalicoBgpPlan, namespace: string): KubeDocument[] {
  const { bgp } = spec.network.calico;
  return [
    ...bgp.filters.map((filter) => calicoObject('BGPFilter', filter.name, filterSpec(filter))),
    ...passwordAccess(plan, namespace),
    ...bgp.peers.map((peer) => calicoObject('BGPPeer', peer.name, peerSpec(peer))),
    ...(plan.mesh
      ? []
      : [
          calicoObject('BGPPeer', 'sitewright-route-reflectors', {
            nodeSelector: 'all()',
            peerSelector: `has(${bgp.routeReflectorLabel})`,
          }),
        ]),
  ];
}

function peerSpec(peer: PeerSpec): object {
  return {
    ...(peer.node !== undefined ? { node: peer.node } : {}),
    ...(peer.zone !== undefined ? { nodeSelector: `${ZONE_LABEL} == '${peer.zone}'` } : {}),
    peerIP: peer.port === 179 ? peer.address : `${bracketed(peer.address)}:${peer.port}`,
    asNumber: peer.asNumber,
    ...(peer.passwordFrom === undefined
      ? {}
      : { password: { secretKeyRef: { name: BGP_SECRET, key: peer.passwordFrom } } }),
    ...(peer.filters.length === 0 ? {} : { filters: peer.filters }),
    ...(peer.gracefulRestart === undefined ? {} : { maxRestartTime: peer.gracefulRestart }),
  };
}

function filterSpec(filter: BgpSpec['filters'][number]): object {
  const rules = (which: 'import' | 'export', family: 'ipv4' | 'ipv6') =>
    filter[which]
      .map((rule) => ({ ...rule, network: parseIp(rule.cidr).network }))
      .filter(({ network }) => network.family === family)
      .map(({ network, match, action }) => ({ cidr: network.text, matchOperator: match, action }));
  const all = {
    importV4: rules('import', 'ipv4'),
    importV6: rules('import', 'ipv6'),
    exportV4: rules('export', 'ipv4'),
    exportV6: rules('export', 'ipv6'),
  };
  return Object.fromEntries(Object.entries(all).filter(([, list]) => list.length > 0));
}

/** calico-node may read the one Secret with passwords, and no other. */
function passwordAccess(plan: CalicoBgpPlan, namespace: string): KubeDocument[] {
  if (plan.peers.every(({ passwordFrom }) => passwordFrom === null)) return [];
  const metadata = { name: BGP_SECRET, namespace };
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  return [
    // The operator would make its own too late; it takes this one over.
    ...(namespace === 'kube-system' ? [] : [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }]),
    {
      apiVersion,
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: [''], resources: ['secrets'], resourceNames: [BGP_SECRET], verbs: ['get', 'list', 'watch'] },
      ],
    },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: BGP_SECRET },
      subjects: [{ kind: 'ServiceAccount', name: 'calico-node', namespace }],
    },
  ];
}
