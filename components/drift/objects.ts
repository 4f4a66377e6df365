import { ADMIN_KUBECTL, KubectlError } from '../clusterProbe/kubectl';
import type { Difference } from './types';

/** Objects in the cluster that the engine made, against what it made them of. */

/** A resource of the state, as the engine stores it. */
export interface StateObject {
  urn: string;
  type: string;
  /** What it is known by outside of the state, such as the UUID of a virtual machine. */
  id?: string;
  inputs?: Record<string, unknown>;
}

/** The engine's mark of a value that is encrypted, or not known. */
const SIGNATURE = '4dabf18193072939515e22adb298388d';

type KubeObject = Record<string, unknown> & { metadata?: Record<string, unknown> };

/** Documents of the objects in a state. Of one with a secret value only its name is left: that is enough to miss it. */
export function objectsOf(resources: readonly StateObject[]): KubeObject[] {
  return resources.flatMap(({ type, inputs }): KubeObject[] => {
    if (!type.startsWith('kubernetes:') || inputs?.kind === undefined) return [];
    const { apiVersion, kind, metadata } = inputs as KubeObject;
    if (JSON.stringify(inputs).includes(SIGNATURE)) {
      const { name, namespace } = metadata ?? {};
      return [{ apiVersion, kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) } }];
    }
    return [{ ...inputs, metadata: withoutEngineNotes(metadata) } as KubeObject];
  });
}

/** Annotations that speak to the engine's plugin stay with it. */
function withoutEngineNotes(metadata: Record<string, unknown> = {}): Record<string, unknown> {
  const { annotations, ...rest } = metadata as { annotations?: Record<string, unknown> };
  const kept = Object.entries(annotations ?? {}).filter(([key]) => !key.startsWith('pulumi.com/'));
  return { ...rest, ...(kept.length > 0 ? { annotations: Object.fromEntries(kept) } : {}) };
}

/** What the documents are applied under: a trial of the API server, after which everything is as before. */
const DIFF = `${ADMIN_KUBECTL} diff --server-side --force-conflicts --field-manager=sitewright-drift -f -`;

interface Session {
  exec(
    command: string,
    opts: { stdin: string; timeoutSeconds: number; signal?: AbortSignal },
  ): Promise<{ code: number | null; stdout: string; stderr: string }>;
}

/**
 * Asks the API server what applying the documents would change, by a dry run on a control-plane node: defaults and other
 * people's fields are no difference.
 * @param asRoot makes a command of the log-in user one of root
 */
export async function readObjects(
  session: Session,
  asRoot: (command: string) => string,
  objects: readonly KubeObject[],
  site: string,
  opts: { timeoutSeconds: number; signal?: AbortSignal },
): Promise<Difference[]> {
  if (objects.length === 0) return [];
  const stdin = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  const { code, stdout, stderr } = await session.exec(asRoot(DIFF), { ...opts, stdin });
  // 1: there are differences; anything above: it could not be asked.
  if (code !== 0 && code !== 1) throw new KubectlError(stderr.trim() || `kubectl diff ended with exit code ${code}`);
  return objectDifferences(stdout, site);
}

const MOST_LINES = 10;
/** The API server and the DaemonSet controller count each change of a specification. */
const COUNTERS = /^[-+]\s+(deprecated\.daemonset\.template\.)?generation: /;

/**
 * Reads a unified diff of kubectl, whose files are named `<version>.<kind>.<namespace>.<name>` with the group before: from what
 * is (-) to what is planned (+).
 */
export function objectDifferences(diff: string, site: string): Difference[] {
  return diff
    .split(/^diff .*\n/m)
    .slice(1)
    .flatMap((part): Difference[] => {
      const [, file = ''] = /^\+\+\+ \S*\/([^/\s]+)/m.exec(part) ?? [];
      const base = { where: site, role: null, what: objectName(file), why: '' };
      const lines = part.split('\n').filter((line) => /^[-+]/.test(line) && !/^(---|\+\+\+) /.test(line));
      // An object that there is not is an empty file, and a Secret that there is not is null.
      if (/^@@ -0,0 /m.test(part) || lines.includes('-null'))
        return [{ ...base, wanted: 'the object', found: 'absent' }];
      const told = lines.filter((line) => !COUNTERS.test(line)).slice(0, MOST_LINES);
      return told.map((line) => {
        const text = line.slice(1).trim();
        return { ...base, wanted: line.startsWith('+') ? text : '', found: line.startsWith('-') ? text : '' };
      });
    });
}

/** `apps.v1.DaemonSet.kube-system.kube-proxy` is `DaemonSet kube-system/kube-proxy`; names may hold dots. */
function objectName(file: string): string {
  const [, kind = '', namespace = '', name = ''] = /\.?([A-Z][A-Za-z0-9]*)\.([^.]*)\.(.+)$/.exec(file) ?? [];
  return kind === '' ? file : `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}
