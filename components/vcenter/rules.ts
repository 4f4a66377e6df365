import type { Difference } from '../drift/types';
import { RULE_NAMES } from '../machines/vsphereRules';
import type { SitePlan } from '../plan/types';
import { clusterConfig } from './hostGroups';
import { attribute, childNodes, children, referenceOf, textAt, type VcenterSession, type Xml } from './soap';

/**
 * Rules of clusters that are not as planned, told at each machine that they are for.
 * @param clusters ids by name of the placement
 * @param machines ids by name; those that are not there are told of elsewhere
 */
export async function ruleDifferences(
  session: VcenterSession,
  { site, machines: { vsphere } }: SitePlan,
  clusters: Map<string, string>,
  machines: Map<string, string>,
): Promise<Difference[]> {
  const { placements, antiAffinity, hostGroups } = vsphere!;
  const read = new Map<string, Xml | null>();
  const configOf = async (datacenter: string, cluster: string) => {
    const home = placements.find((one) => one.datacenter === datacenter && one.cluster === cluster)!;
    const id = clusters.get(home.name)!;
    if (!read.has(id)) read.set(id, await clusterConfig(session, id));
    return read.get(id)!;
  };
  const found: Difference[] = [];
  const compare = (names: string[], what: string, wanted: string, real: (id: string) => string) => {
    for (const name of names) {
      const id = machines.get(name);
      if (id === undefined || real(id) === wanted) continue;
      const why = 'put it back in the vCenter';
      found.push({ where: name, role: null, what, wanted, found: real(id), why });
    }
  };
  for (const { datacenter, cluster, machines: names, isRequired } of antiAffinity) {
    const config = await configOf(datacenter, cluster);
    const rule = named(config, 'rule', 'ClusterAntiAffinityRuleSpec', RULE_NAMES.apart(site));
    const wanted = isRequired ? MUST : SHOULD;
    compare(names, 'rule that keeps the control plane apart', wanted, (id) => strength(rule, members(rule, id)));
  }
  for (const { datacenter, cluster, hostGroup, machines: names } of hostGroups) {
    const config = await configOf(datacenter, cluster);
    const group = named(config, 'group', 'ClusterVmGroup', RULE_NAMES.group(site, hostGroup));
    const rule = named(config, 'rule', 'ClusterVmHostRuleInfo', RULE_NAMES.onHosts(site, hostGroup));
    const isMeant =
      rule !== undefined &&
      textAt(rule, 'vmGroupName') === RULE_NAMES.group(site, hostGroup) &&
      textAt(rule, 'affineHostGroupName') === hostGroup;
    compare(names, `rule that keeps it on the hosts ${hostGroup}`, MUST, (id) =>
      rule !== undefined && !isMeant ? 'about other groups' : strength(rule, members(group, id)),
    );
  }
  return found;
}

const MUST = 'must hold';
const SHOULD = 'may be broken';

const named = (config: Xml | null, list: string, type: string, name: string): Xml | undefined =>
  (config === null ? [] : childNodes(config, list)).find(
    (one) => attribute(one, 'type') === type && textAt(one, 'name') === name,
  );

const members = (list: Xml | undefined, id: string): boolean =>
  list !== undefined && children(list, 'vm').some((vm) => referenceOf(vm).id === id);

function strength(rule: Xml | undefined, isMember: boolean): string {
  if (rule === undefined) return 'absent';
  if (textAt(rule, 'enabled') !== 'true') return 'off';
  if (!isMember) return 'about other machines';
  return textAt(rule, 'mandatory') === 'true' ? MUST : SHOULD;
}
