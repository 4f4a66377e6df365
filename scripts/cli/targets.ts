import { deriveHostKey } from '../../components/secrets/hostKey';
import type { SitePlan, SshEndpointPlan } from '../../components/plan';
import { SshError, SshSession, type SshTarget } from '../../components/ssh/session';
import { badInput, failed } from './errors';
import { HOST_KEY_SEED, SSH_PRIVATE_KEY } from './secrets';
import type { ConfigValues } from './stack';

/** A host of the site, by the name that messages use. */
export interface NamedTarget {
  name: string;
  target: SshTarget;
}

export interface SiteKeys {
  sshPrivateKey: string;
  hostKeySeed: string;
}

/** The secrets of a site out of its decrypted configuration. */
export function keysOf(config: ConfigValues, site: string): SiteKeys {
  const missing = [SSH_PRIVATE_KEY, HOST_KEY_SEED].filter((key) => config[key] === undefined);
  if (missing.length > 0) throw badInput(`${site} lacks ${missing.join(' and ')}: sitewright new ${site} makes them`);
  return { sshPrivateKey: config[SSH_PRIVATE_KEY].value, hostKeySeed: config[HOST_KEY_SEED].value };
}

/** How to log in to every machine of a site, with the host key that it must show. */
export function nodeTargets(plan: SitePlan, keys: SiteKeys): NamedTarget[] {
  const { jump } = plan.machines;
  return plan.nodes.map((node) => {
    const { host, port, user, hostKey } = node.ssh;
    const pinned = hostKey ?? deriveHostKey(keys.hostKeySeed, node.name).publicKey;
    const target = { host, port, user, hostKey: pinned, privateKey: keys.sshPrivateKey };
    return { name: node.name, target: jump === null ? target : { ...target, jump: endpointTarget(jump, keys) } };
  });
}

/** The machines with a member of etcd. Refuses a site without a cluster. */
export function controlPlaneTargets(plan: SitePlan, keys: SiteKeys): NamedTarget[] {
  if (plan.cluster === null) {
    throw badInput(`${plan.site} has no cluster: its site file names no kubernetes.version. Nothing was changed`);
  }
  const names = plan.nodes.filter(({ role }) => role === 'control-plane').map(({ name }) => name);
  return nodeTargets(plan, keys).filter(({ name }) => names.includes(name));
}

/** The other hosts that the key of the site opens: the jump host, and hypervisors that are not this machine. */
export function otherTargets(plan: SitePlan, keys: SiteKeys): NamedTarget[] {
  const { jump, kvm } = plan.machines;
  const hypervisors = (kvm?.hypervisors ?? []).flatMap(({ name, connection }) =>
    connection === 'local' ? [] : [{ name, target: endpointTarget(connection, keys) }],
  );
  return [
    ...(jump === null ? [] : [{ name: `jump host ${jump.host}`, target: endpointTarget(jump, keys) }]),
    ...hypervisors,
  ];
}

const endpointTarget = ({ host, port, user, hostKey }: SshEndpointPlan, keys: SiteKeys): SshTarget => ({
  host,
  port,
  user,
  hostKey,
  privateKey: keys.sshPrivateKey,
});

const SCRIPT_TIMEOUT_SECONDS = 120;

/** Runs a bash script on one host and returns what it prints. */
export async function runOn(target: SshTarget, script: string): Promise<string> {
  const session = await SshSession.connect(target);
  try {
    const result = await session.exec('exec bash -s', { stdin: script, timeoutSeconds: SCRIPT_TIMEOUT_SECONDS });
    if (result.code !== 0) throw failed(result.stderr.trim() || `the script ended with exit code ${result.code}`);
    return result.stdout;
  } finally {
    session.end();
  }
}

/** Does the same on every host at once; those that fail are told together, and nothing is returned then. */
export async function onEach<T>(hosts: NamedTarget[], run: (host: NamedTarget) => Promise<T>): Promise<T[]> {
  const results = await Promise.allSettled(hosts.map(run));
  const problems = results.flatMap((result, index) =>
    result.status === 'rejected' ? [`${hosts[index].name}: ${reasonOf(result.reason)}`] : [],
  );
  if (problems.length > 0) throw failed(problems.join('\n'));
  return results.map((result) => (result as PromiseFulfilledResult<T>).value);
}

function reasonOf(error: unknown): string {
  if (error instanceof SshError || (error as { exitCode?: number }).exitCode === 1) return (error as Error).message;
  throw error;
}
