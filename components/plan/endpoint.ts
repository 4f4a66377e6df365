import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import type { EndpointPlan } from './clusterTypes';
import type { Findings } from './findings';
import { bracketed, parseIp } from './ip';

/** Port of every API server. */
export const API_PORT = 6443;

/** Names that no public resolver knows: /etc/hosts of every node has them. `internal` is reserved for that (ICANN, 2024). */
export const endpointName = (site: string) => `api.${site}.internal`;

/** `https://address:port` as a kubeconfig from outside the cluster has it, where nothing resolves the endpoint's name. */
export const apiServerUrl = ({ endpoint: { address, port } }: { endpoint: EndpointPlan }): string =>
  `https://${bracketed(address)}:${port}`;

const isAddress = (host: string) => host.includes(':') || /^[0-9.]+$/.test(host);

/**
 * How the API is reached. The name is the same whether one node, a virtual address or somebody's load balancer is behind
 * it: certificates and kubeconfigs hold the name, so 1 -> 3 control-plane machines is an edit.
 */
export function planEndpoint(spec: SiteSpec, addressing: Addressing, findings: Findings): EndpointPlan {
  const { vip, endpoint } = spec.kubernetes;
  const name = endpointName(spec.name);
  const controlPlane = addressing.nodes.filter((_, index) => spec.machines.nodes[index].role === 'control-plane');
  checkSharedAddress(controlPlane.length, vip !== undefined || endpoint !== undefined, findings);

  if (endpoint !== undefined) {
    if (vip !== undefined) {
      findings.error(
        ['kubernetes', 'endpoint'],
        endpoint,
        'kubernetes.endpoint and kubernetes.vip are both stated: the control plane has one address, so keep one of the two',
      );
    }
    // A name resolves by itself; only an address needs one of ours.
    const address = isAddress(endpoint.host) ? parseIp(endpoint.host).text : endpoint.host;
    return { name: isAddress(endpoint.host) ? name : address, port: endpoint.port, address, kind: 'external' };
  }
  if (vip !== undefined) return { name, port: API_PORT, address: parseIp(vip).text, kind: 'vip' };
  return { name, port: API_PORT, address: controlPlane[0]?.ips[0].text ?? '', kind: 'node' };
}

function checkSharedAddress(count: number, hasSharedAddress: boolean, findings: Findings): void {
  if (count <= 1 || hasSharedAddress) return;
  findings.error(
    ['kubernetes', 'vip'],
    undefined,
    `${count} control-plane machines need one address: set kubernetes.vip to an unused address of their subnet, or ` +
      'kubernetes.endpoint to a load balancer that you have',
  );
}
