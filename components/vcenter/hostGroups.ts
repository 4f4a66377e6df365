import type { VspherePlan } from '../plan/vsphereTypes';
import type { Inventory } from './inventory';
import { retrieveOne } from './properties';
import { suggestion } from './resolve';
import { attribute, childNodes, children, referenceOf, textAt, type VcenterSession, type Xml } from './soap';

/** Groups and rules of a cluster among others; null where the user may not see them. */
export async function clusterConfig(session: VcenterSession, clusterId: string): Promise<Xml | null> {
  const cluster = { type: 'ClusterComputeResource', id: clusterId };
  const config = (await retrieveOne(session, cluster, ['configurationEx'])).get('configurationEx');
  return config === undefined || typeof config === 'string' ? null : config;
}

/** Ids of the hosts of each host group of a cluster, by name of the group. */
async function groupsOf(session: VcenterSession, clusterId: string): Promise<Map<string, string[]>> {
  const config = await clusterConfig(session, clusterId);
  const groups = config === null ? [] : childNodes(config, 'group');
  return new Map(
    groups
      .filter((group) => attribute(group, 'type') === 'ClusterHostGroup')
      .map((group) => [textAt(group, 'name') ?? '', children(group, 'host').map((host) => referenceOf(host).id)]),
  );
}

/**
 * Host groups that are missing or empty, and two that share a host although the plan counts on them being apart.
 * @param clusters ids by name of the placement; a placement without one is told of elsewhere
 */
export async function hostGroupProblems(
  session: VcenterSession,
  inventory: Inventory,
  { placements }: Pick<VspherePlan, 'placements'>,
  clusters: Map<string, string>,
): Promise<string[]> {
  const problems: string[] = [];
  const read = new Map<string, Map<string, string[]>>();
  const used: { clusterId: string; hostGroup: string; hosts: string[] }[] = [];
  for (const { name, cluster, hostGroup } of placements) {
    const clusterId = clusters.get(name);
    if (hostGroup === null || clusterId === undefined) continue;
    if (!read.has(clusterId)) read.set(clusterId, await groupsOf(session, clusterId));
    const groups = read.get(clusterId)!;
    const hosts = groups.get(hostGroup);
    const where = `machines.vsphere.placements[${name}].hostGroup`;
    if (hosts === undefined) {
      problems.push(
        `${where}: there is no host group ${hostGroup} in ${cluster}${suggestion(hostGroup, [...groups.keys()].sort())}`,
      );
      continue;
    }
    if (hosts.length === 0) problems.push(`${where}: no host is in ${hostGroup}: its machines could not run`);
    for (const other of used) {
      if (other.clusterId !== clusterId || other.hostGroup === hostGroup) continue;
      const shared = hosts.filter((host) => other.hosts.includes(host)).map((id) => inventory.get(id)?.name ?? id);
      if (shared.length === 0) continue;
      problems.push(
        `${where}: ${shared.join(', ')} is in ${hostGroup} and in ${other.hostGroup}, and the machines of both could meet there: leave it in one of them`,
      );
    }
    used.push({ clusterId, hostGroup, hosts });
  }
  return problems;
}
