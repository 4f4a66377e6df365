import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { STAMP_NAMESPACE } from '../../../components/machines/domainXml';
import { domainName } from '../../../components/plan/machines';
import type { KvmPlan, SitePlan } from '../../../components/plan';
import { contextOf, printJson, type Context } from '../context';
import { badInput, failed } from '../errors';
import { enterLab } from '../lab';
import { MACHINE_ROLE, nameOf } from '../resources';
import { IDENTITY, openStack } from '../secrets';
import { openSiteAloud } from '../site';
import { keysOf, nodeTargets, onEach, otherTargets, runOn, type NamedTarget, type SiteKeys } from '../targets';

/** What a machine says it belongs to; null where it carries no stamp. */
interface FoundStamp {
  machine: string;
  stamp: { site: string; id: string } | null;
}

export function adoptCommand(): Command {
  return new Command('adopt')
    .description('continue with the machines of a site whose state was lost')
    .argument('<site>')
    .addHelpText(
      'after',
      `
Machines carry the identity of the state that made them, and refuse any other. This reads it from them, and the
next \`up\` takes the machines over as they are. All of them must carry this site's name and one identity.

Examples:
  $ sitewright adopt acme-prod && sitewright up acme-prod`,
    )
    .action((site: string, _options: unknown, command: Command) => adopt(contextOf(command), site));
}

async function adopt(context: Context, site: string): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  await enterLab(plan);
  if (plan.machines.vsphere !== null) {
    throw badInput(
      `the machines of ${site} are resources of the vSphere provider, and a new state would make them again: bring the lost state ` +
        'back from a backup of its backend. Nothing was changed',
    );
  }
  const { stack, config } = await openStack(context, plan);
  const state = await stack.exportState();
  const own = plan.nodes.map(({ name }) => name).filter((name) => holds(state, site, name));
  if (own.length > 0) {
    throw badInput(`the state of ${site} is not lost: it has ${own.join(', ')}. Nothing was changed`);
  }
  const keys = keysOf(config, site);
  const found =
    plan.machines.kvm === null
      ? await readNodeStamps(plan, keys)
      : await readDomainStamps(plan, plan.machines.kvm, keys);
  const id = oneIdentity(site, found);
  await stack.setPlain(IDENTITY, id);
  if (context.json) printJson(context, { site, identity: id, machines: found.map(({ machine }) => machine) });
  else {
    context.out(
      `${site} has the identity ${id} again, as on ${found.map(({ machine }) => machine).join(', ')}.\n` +
        `Next: sitewright up ${site} takes these machines over`,
    );
  }
}

/**
 * Whether a state has a machine, or what was done to it. Other resources do not count: an `up` that was refused by the
 * machines of a lost state has made some.
 */
function holds(state: string, site: string, machine: string): boolean {
  const { deployment } = JSON.parse(state) as { deployment: { resources?: { urn: string }[] } };
  const names = (deployment.resources ?? []).map(({ urn }) => nameOf(urn));
  return names.includes(`${site}-machines-${machine}-${MACHINE_ROLE}`) || names.includes(`${site}-${machine}-prepare`);
}

/** The identity that all machines share; every one that does not fit is told. */
export function oneIdentity(site: string, found: FoundStamp[]): string {
  const ids = new Set(found.flatMap(({ stamp }) => (stamp?.site === site ? [stamp.id] : [])));
  const problems = found.flatMap(({ machine, stamp }) => {
    if (stamp === null) return [`${machine} carries no stamp: no state has made it`];
    if (stamp.site !== site) return [`${machine} belongs to the site ${stamp.site}`];
    return ids.size > 1 ? [`${machine} was made by the state ${stamp.id}`] : [];
  });
  if (problems.length > 0) throw failed(`${site} cannot be adopted; nothing was changed\n${problems.join('\n')}`);
  return [...ids][0];
}

async function readNodeStamps(plan: SitePlan, keys: SiteKeys): Promise<FoundStamp[]> {
  return onEach(nodeTargets(plan, keys), async ({ name, target }) => {
    const text = await runOn(target, 'cat /etc/sitewright/stamp.json 2>/dev/null || true');
    return { machine: name, stamp: parseStamp(text) };
  });
}

export function parseStamp(text: string): FoundStamp['stamp'] {
  try {
    const { site, id } = JSON.parse(text) as { site?: unknown; id?: unknown };
    return typeof site === 'string' && typeof id === 'string' ? { site, id } : null;
  } catch {
    return null;
  }
}

/** One look at a domain: the attributes of the stamp in its metadata. */
const readDomain = (uri: string, domain: string) =>
  `virsh -q -c '${uri}' metadata '${domain}' '${STAMP_NAMESPACE}' --config 2>/dev/null || true`;

async function readDomainStamps(plan: SitePlan, kvm: KvmPlan, keys: SiteKeys): Promise<FoundStamp[]> {
  const remote = otherTargets(plan, keys);
  return onEach(nodeTargets(plan, keys), async (node) => {
    const { hypervisor: name } = plan.nodes.find((candidate) => candidate.name === node.name)!.kvm!;
    const { uri } = kvm.hypervisors.find((candidate) => candidate.name === name)!;
    const script = readDomain(uri, domainName(plan.site, node.name));
    const host = remote.find((candidate: NamedTarget) => candidate.name === name);
    const text = host === undefined ? await runHere(script) : await runOn(host.target, script);
    return { machine: node.name, stamp: parseMetadata(text) };
  });
}

const LOCAL_TIMEOUT_MILLISECONDS = 60_000;

async function runHere(script: string): Promise<string> {
  return (await promisify(execFile)('bash', ['-c', script], { timeout: LOCAL_TIMEOUT_MILLISECONDS })).stdout;
}

export function parseMetadata(xml: string): FoundStamp['stamp'] {
  const attribute = (name: string) => new RegExp(`\\s${name}=["']([^"']*)["']`).exec(xml)?.[1];
  const [site, id] = [attribute('site'), attribute('stamp')];
  return site === undefined || id === undefined ? null : { site, id };
}
