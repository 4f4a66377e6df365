import { isDeepStrictEqual } from 'node:util';
import type { Checked, CheckFailure } from '../base';
import { hasUnknown, plain, secret, unknown, type Value, type Values } from '../values';
import { connectionOf, type Connection } from './kubeconfig';

/** The provider's settings as the plugin uses them. */
export interface Settings {
  /** Undefined where the kubeconfig is not known yet: then only previews from inputs are possible. */
  connection?: Connection;
  /** Of objects in namespaces that name none. */
  namespace: string;
  enableConfigMapMutable: boolean;
  enableSecretMutable: boolean;
  enablePatchForce: boolean;
  upsertExistingObjects: boolean;
  deleteUnreachable: boolean;
  suppressDeprecationWarnings: boolean;
}

const texts = ['kubeconfig', 'context', 'cluster', 'namespace', 'clusterIdentifier'];

/** The SDK sends these as JSON, and leaves out what the program did not set. */
const switches = [
  'enableConfigMapMutable',
  'enableSecretMutable',
  'enablePatchForce',
  'upsertExistingObjects',
  'deleteUnreachable',
  'suppressDeprecationWarnings',
] as const;

/** Settings of the official plugin that this one refuses, unless they have the value that changes nothing. */
const refused: Record<string, { harmless?: string; reason: string }> = {
  enableServerSideApply: { harmless: 'true', reason: 'this plugin always applies on the server' },
  skipUpdateUnreachable: {
    harmless: 'false',
    reason: 'an update that is skipped would look like one that was made. Use --target to leave resources out',
  },
  renderYamlToDirectory: { reason: 'this plugin writes no YAML files' },
  alwaysRender: { harmless: 'false', reason: 'this plugin writes no YAML files' },
  helmReleaseSettings: { reason: 'Helm is not supported by this plugin' },
  suppressHelmHookWarnings: { harmless: 'false', reason: 'Helm is not supported by this plugin' },
  kubeClientSettings: { reason: 'this plugin has no rate limits of its own to set' },
};

/** Set by the engine itself. */
const ofTheEngine = ['version', 'pluginDownloadURL', '__internal', '__pulumi-go-provider-infer'];

export function checkConfiguration(inputs: Values): Checked {
  const failures: CheckFailure[] = [];
  for (const [name, given] of Object.entries(inputs)) {
    const value = plain(given);
    if (hasUnknown(value) || isAbsent(value) || ofTheEngine.includes(name)) continue;
    if (texts.includes(name)) {
      if (typeof value !== 'string') failures.push({ property: name, reason: 'must be a string' });
    } else if ((switches as readonly string[]).includes(name)) {
      if (!['true', 'false'].includes(String(value))) {
        failures.push({ property: name, reason: `must be true or false; given ${JSON.stringify(value)}` });
      }
    } else if (refused[name]) {
      if (String(value) !== refused[name].harmless) {
        failures.push({ property: name, reason: `${JSON.stringify(value)} is refused: ${refused[name].reason}` });
      }
    } else {
      const known = [...texts, ...switches].join(', ');
      failures.push({ property: name, reason: `is no setting of this plugin; known are ${known}` });
    }
  }
  const kubeconfig = plain(inputs.kubeconfig);
  if (isAbsent(kubeconfig)) {
    failures.push({
      property: 'kubeconfig',
      reason: 'is required: this plugin never takes the kubeconfig of whoever happens to run it',
    });
  } else if (typeof kubeconfig === 'string' && !hasUnknown(kubeconfig) && failures.length === 0) {
    try {
      settingsOf(inputs);
    } catch (error) {
      failures.push({ property: 'kubeconfig', reason: (error as Error).message });
    }
  }
  // A kubeconfig holds credentials; a path does not, and is easier to follow in the clear.
  const holdsText = typeof kubeconfig === 'string' && /[\n{]/.test(kubeconfig);
  return { inputs: holdsText ? { ...inputs, kubeconfig: secret(inputs.kubeconfig) } : inputs, failures };
}

/** @throws Error where the kubeconfig cannot be used. */
export function settingsOf(inputs: Values): Settings {
  const text = (name: string): string | undefined => {
    const value = plain(inputs[name]);
    return typeof value === 'string' && value !== '' && value !== unknown ? value : undefined;
  };
  const kubeconfig = text('kubeconfig');
  const connection =
    kubeconfig === undefined
      ? undefined
      : connectionOf(kubeconfig, { context: text('context'), cluster: text('cluster') });
  const enabled = Object.fromEntries(switches.map((name) => [name, String(plain(inputs[name])) === 'true']));
  // As in the official plugin: for a refresh or a destroy, which take the provider as it is recorded.
  if (isAbsent(plain(inputs.deleteUnreachable))) {
    enabled.deleteUnreachable = process.env.PULUMI_K8S_DELETE_UNREACHABLE === 'true';
  }
  return {
    connection,
    namespace: text('namespace') ?? connection?.namespace ?? 'default',
    ...(enabled as Record<(typeof switches)[number], boolean>),
  };
}

const whichCluster = ['kubeconfig', 'context', 'cluster'];

/**
 * What a changed configuration means for the resources. A cluster has no identity that could be asked for: the program's
 * `clusterIdentifier` decides where there is one, as in the official plugin, and else the address of the API server does.
 */
export function diffConfiguration(before: Values, after: Values): { changed: string[]; replaces: string[] } {
  const [old, now] = [plain(before) as Values, plain(after) as Values];
  const changed = [...new Set([...Object.keys(old), ...Object.keys(now)])]
    .filter((name) => !isDeepStrictEqual(old[name], now[name]))
    .sort();
  return { changed, replaces: changed.length > 0 ? replacedBy(old, now, changed) : [] };
}

function replacedBy(old: Values, now: Values, changed: string[]): string[] {
  const [oldIdentifier, identifier] = [old.clusterIdentifier, now.clusterIdentifier];
  if (identifier !== undefined && oldIdentifier !== undefined) {
    // One that is not known yet says nothing, and replacing a whole cluster's objects must not follow from nothing.
    return identifier === oldIdentifier || hasUnknown(identifier) ? [] : ['clusterIdentifier'];
  }
  const unclear = whichCluster.filter((name) => hasUnknown(now[name]));
  if (unclear.length > 0) return unclear;
  const [oldServer, server] = [serverOf(old), serverOf(now)];
  if (oldServer === undefined || server === undefined || oldServer === server) return [];
  return whichCluster.filter((name) => changed.includes(name));
}

function serverOf(inputs: Values): string | undefined {
  try {
    return settingsOf(inputs).connection?.server;
  } catch {
    return undefined;
  }
}

function isAbsent(value: Value | undefined): boolean {
  return value === undefined || value === null || value === '' || value === 'null';
}
