import type { SiteSpec } from '../spec/schema';
import type { NodeAddress } from './address';
import type { EndpointPlan } from './clusterTypes';
import { byText, type Findings } from './findings';
import { byAddress, parseIp, type Ip } from './ip';
import type { SitePlan } from './types';

/**
 * Lines of /etc/hosts: a machine's own name comes first on its line, because it is the canonical one. The name of the API
 * is not among them: the scripts of the cluster write it, when what it stands for answers.
 */
export function planHosts(
  spec: SiteSpec,
  nodes: NodeAddress[],
  endpoint: EndpointPlan | null,
  findings: Findings,
): SitePlan['hosts'] {
  const lines = new Map<string, { ip: Ip; machine: string[]; added: string[] }>();
  const line = (ip: Ip) => {
    const found = lines.get(ip.text) ?? { ip, machine: [], added: [] };
    lines.set(ip.text, found);
    return found;
  };
  nodes.forEach((node, index) => node.ips.forEach((ip) => line(ip).machine.push(spec.machines.nodes[index].name)));

  const own = new Map(nodes.map((node, index) => [spec.machines.nodes[index].name, node]));
  for (const [name, address] of Object.entries(spec.nodePrep.hosts)) {
    const node = own.get(name.toLowerCase());
    if (node) {
      findings.error(
        ['nodePrep', 'hosts', name],
        address,
        `${name} is a machine of this site: its name already stands for ${node.ips.map((ip) => ip.text).join(' and ')}; leave it out`,
      );
      continue;
    }
    line(parseIp(address)).added.push(name);
  }
  // A load balancer that has a name of its own is resolved as any other host.
  if (endpoint && endpoint.name !== endpoint.address && endpoint.name in spec.nodePrep.hosts) {
    findings.error(
      ['nodePrep', 'hosts', endpoint.name],
      spec.nodePrep.hosts[endpoint.name],
      `${endpoint.name} is the name of the cluster's API, which stands for ${endpoint.address}: leave it out`,
    );
  }
  return [...lines.values()]
    .sort((a, b) => byAddress(a.ip, b.ip))
    .map(({ ip, machine, added }) => ({ address: ip.text, names: [...machine, ...added.sort(byText)] }));
}
