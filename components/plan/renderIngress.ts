import type { IngressPlan } from './ingressTypes';
import { names, table } from './renderTable';

/** The ingress controller in a plan: where it listens, what it reports, and what its configuration says. */
export function renderIngress({ controller, version, expose, className, defaultClass, ...plan }: IngressPlan): string {
  const { nodes, address, certificate, ports, edits } = plan;
  const pods = edits.replicas === null ? 'one on each' : `${edits.replicas} pods`;
  const where =
    expose === 'host-network'
      ? `TCP ports ${ports.join(', ')} of these machines`
      : `${address}, told to BGP peers by Calico`;
  return table(
    ['Ingress', ''],
    [
      [
        'controller',
        `${controller} ${version}, class ${className}${defaultClass ? ', also of an Ingress without one' : ''}`,
      ],
      ['machines', `${names(nodes)}: ${pods}`],
      ['listens on', where],
      ['certificate of hosts without one', certificate === null ? 'none' : 'of the site file'],
      ['Ingress objects report', address ?? 'the address of each machine with a ready pod'],
      ...Object.entries(edits.config).map(([key, value]) => [key, value]),
    ],
    [36, 82],
  );
}
