import execa from 'execa';
import { asRoot, KubectlError } from '../../components/clusterProbe/kubectl';
import { machineDifferences, renderMachinesScript } from '../../components/drift/machines';
import { parseReading, renderDriftScript } from '../../components/drift/nodeScript';
import { objectsOf, readObjects, type StateObject } from '../../components/drift/objects';
import type { Difference, NodeReading } from '../../components/drift/types';
import type { NodeFacts } from '../../components/nodes/facts';
import type { NodePlan, SitePlan } from '../../components/plan';
import { SshError } from '../../components/ssh/errors';
import { VcenterError } from '../../components/vcenter/errors';
import { PlacementError } from '../../components/vcenter/lookUp';
import { vsphereDifferences } from '../../components/vcenter/machines';
import { connectFirst } from '../../components/ssh/first';
import { runScript, ScriptError } from '../../components/ssh/script';
import { SshSession, type SshTarget } from '../../components/ssh/session';
import { day } from './clusterKeys';
import { hasExpired, readNodeCertificates, type NodeCertificates } from './nodeCerts';
import { machineResource, nameOf } from './resources';
import { controlPlaneTargets, keysOf, nodeTargets, otherTargets, type NamedTarget } from './targets';
import type { OpenStack } from './secrets';
import type { Unanswered } from './verify';
import { vsphereCredentials } from './vsphereSecrets';

/** What a whole site is like, against its plan. */
export interface Audit {
  differences: Difference[];
  /** What could not be looked at. */
  unanswered: Unanswered[];
}

export interface AuditOptions {
  signal: AbortSignal;
  say(text: string): void;
  /** Multiplies the time limits. */
  limitFactor: number;
  now: Date;
}

/** For one machine to read everything back: it starts few programs, and an emulated one is slow at each. */
const READ_LIMIT_SECONDS = 120;

/** Reads a site back: every machine at once, then the objects of the cluster. Changes nothing. */
export async function auditSite(plan: SitePlan, open: OpenStack, options: AuditOptions): Promise<Audit> {
  const audit: Audit = { differences: [], unanswered: [] };
  const keys = keysOf(open.config, plan.site);
  const targets = new Map(nodeTargets(plan, keys).map(({ name, target }) => [name, target]));
  const recorded = recordedKernels(await open.stack.outputs(), plan);
  const take = async (where: string, read: () => Promise<Difference[]>) => {
    try {
      audit.differences.push(...(await read()));
    } catch (error) {
      audit.unanswered.push({ where, message: reasonOf(error) });
    }
  };
  await Promise.all([
    ...plan.nodes.map((node) =>
      take(node.name, async () => {
        const target = targets.get(node.name)!;
        const reading = await readNode(node, plan, target, options);
        const certificates = plan.cluster === null ? null : await readNodeCertificates({ name: node.name, target });
        return [
          ...nodeDifferences(plan, node, reading, recorded.get(node.name)),
          ...expiredCertificates(plan.site, node.name, certificates, options.now),
        ];
      }),
    ),
    ...(plan.machines.kvm?.hypervisors ?? []).map((hypervisor) =>
      take(`hypervisor ${hypervisor.name}`, async () => {
        const nodes = plan.nodes.filter(({ kvm }) => kvm?.hypervisor === hypervisor.name);
        const script = renderMachinesScript(hypervisor, plan.site, nodes);
        const host = otherTargets(plan, keys).find(({ name }) => name === hypervisor.name);
        const stdout =
          host === undefined ? await runHere(script) : await runThere(host.name, host.target, script, options);
        return machineDifferences(plan, nodes, stdout);
      }),
    ),
  ]);
  if (plan.machines.vsphere !== null) {
    await take(`vCenter ${plan.machines.vsphere.server}`, async () => {
      const state = JSON.parse(await open.stack.exportState()) as { deployment?: { resources?: StateObject[] } };
      const ids = new Map((state.deployment?.resources ?? []).map(({ urn, id }) => [nameOf(urn), id]));
      const uuids = plan.nodes.map(({ name }) => [name, ids.get(machineResource(plan.site, name))] as const);
      const made = uuids.filter((entry): entry is [string, string] => entry[1] !== undefined);
      return vsphereDifferences(plan, vsphereCredentials(plan, open.config), new Map(made));
    });
  }
  if (plan.cluster !== null) {
    await take('cluster', async () => {
      const state = JSON.parse(await open.stack.exportState()) as { deployment?: { resources?: StateObject[] } };
      return readCluster(
        plan.site,
        controlPlaneTargets(plan, keys),
        objectsOf(state.deployment?.resources ?? []),
        options,
      );
    });
  }
  const order = new Map([...plan.nodes.map(({ name }) => name), plan.site].map((name, index) => [name, index]));
  audit.differences.sort((a, b) => order.get(a.where)! - order.get(b.where)!);
  return audit;
}

async function readNode(
  node: NodePlan,
  plan: SitePlan,
  target: SshTarget,
  options: AuditOptions,
): Promise<NodeReading> {
  return parseReading(await runThere(node.name, target, renderDriftScript(node, plan), options));
}

async function runThere(
  name: string,
  target: SshTarget,
  script: string,
  { signal, say, limitFactor }: AuditOptions,
): Promise<string> {
  const session = await SshSession.connect(target, { signal });
  try {
    const timeoutSeconds = Math.round(READ_LIMIT_SECONDS * limitFactor);
    return await runScript(session, script, { name, timeoutSeconds, signal, onProgress: say });
  } finally {
    session.end();
  }
}

async function runHere(script: string): Promise<string> {
  const { exitCode, stdout, stderr } = await execa('bash', ['-s'], { input: script, reject: false });
  if (exitCode !== 0) throw new ScriptError(stderr.trim() || `a script ended with exit code ${exitCode}`);
  return stdout;
}

/** What a node says of itself, and what it is held against from elsewhere. */
export function nodeDifferences(
  plan: SitePlan,
  { name }: NodePlan,
  { differences, kernel, proxyMode }: NodeReading,
  recordedKernel: string | undefined,
): Difference[] {
  const found = differences.map((difference) => ({ where: name, ...difference }));
  const mode = plan.cluster?.kubeProxy.mode;
  if (mode !== undefined && proxyMode !== mode) {
    const why = 'kubectl -n kube-system logs -l k8s-app=kube-proxy says more';
    found.push({ where: name, role: null, what: 'mode of kube-proxy', wanted: mode, found: proxyMode ?? '', why });
  }
  if (recordedKernel !== undefined && recordedKernel !== kernel) {
    const why = 'settings that depend on the kernel were chosen for the other one';
    found.push({ where: name, role: 'prepare', what: 'kernel', wanted: recordedKernel, found: kernel, why });
  }
  return unique(found);
}

/** Those that are due are told by `sitewright certs`: they still do what the plan wants of them. */
function expiredCertificates(site: string, where: string, read: NodeCertificates | null, now: Date): Difference[] {
  const expired = (read?.certificates ?? []).filter((one) => hasExpired(one, now));
  return expired.map(({ name, expires }) => ({
    ...{ where, role: null, what: `certificate ${name}`, wanted: 'valid' },
    found: expires === null ? 'none that can be read' : `expired on ${day(expires)}`,
    why:
      read?.role === 'worker'
        ? `sitewright up ${site} has the machine join again`
        : `sitewright certs ${site} --renew renews it`,
  }));
}

/** A line of a file and the value that it sets may be told by the same words. */
const unique = (found: Difference[]): Difference[] => [
  ...new Map(found.map((one) => [JSON.stringify([one.what, one.wanted, one.found]), one])).values(),
];

/** Kernels at the last preparation, by node. */
function recordedKernels(outputs: Record<string, unknown>, plan: SitePlan): Map<string, string> {
  const facts = Array.isArray(outputs.nodes) ? (outputs.nodes as (NodeFacts | null)[]) : [];
  // In the order of the site file of then: a site that gained or lost machines since has no such order any more.
  if (facts.length !== plan.nodes.length) return new Map();
  return new Map(
    plan.nodes.flatMap(({ name }, index): [string, string][] => {
      const kernel = facts[index]?.kernel;
      return kernel === undefined ? [] : [[name, kernel]];
    }),
  );
}

async function readCluster(
  site: string,
  members: NamedTarget[],
  objects: Record<string, unknown>[],
  { signal, say, limitFactor }: AuditOptions,
): Promise<Difference[]> {
  const first = await connectFirst(members, { signal });
  if (first === null) throw new ScriptError('no control-plane machine answers');
  const { host, session } = first;
  try {
    say(`${host.name}: ${objects.length} objects of the cluster`);
    const timeoutSeconds = Math.round(READ_LIMIT_SECONDS * limitFactor);
    const root = (command: string) => asRoot(host.target, command);
    return await readObjects(session, root, objects, site, { timeoutSeconds, signal });
  } finally {
    session.end();
  }
}

/** What keeps an answer from being had is for the user; anything else is a defect. */
function reasonOf(error: unknown): string {
  const isForUser = [SshError, ScriptError, KubectlError, VcenterError, PlacementError].some(
    (kind) => error instanceof kind,
  );
  if (isForUser) return (error as Error).message;
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  throw error;
}
