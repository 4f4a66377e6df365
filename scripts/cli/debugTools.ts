import { podNetwork } from '../../components/clusterProbe/podNetwork';
import type { Kubectl } from '../../components/clusterProbe/kubectl';
import { quote } from '../../components/nodes/bash';
import { LIMITS_SECONDS, runningPod, type DebugOptions, type DebugTarget } from './debugContainer';

/**
 * Into the network of a pod, or onto its node, with the machine's own tools: for bundles of `artifacts.from: upstream`, whose
 * projects release no toolbox image. Another project's image would be a large part of each bundle, on every node, for nobody
 * but `debug`; one made of the distribution's packages could not be made again from its lock, because archives remove what
 * they have newer versions of. The tools are packages that every machine of a cluster has anyway, and the way in is the one
 * of `verify`. Nothing is made in the cluster, so nothing has to be removed, and no pod security is in the way.
 */
const PROGRAM = `import ctypes, json, os, subprocess, sys
${podNetwork}

enter(sandbox(json.loads(sys.argv[1])))
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    print('%s: %s' % (sys.argv[2], error.strerror), file=sys.stderr)
    sys.exit(127)
`;

/** The name of the node of a pod that can be looked into. */
export async function nodeOf(
  kubectl: Kubectl,
  target: { pod: string; namespace: string },
  { limitFactor, signal }: Pick<DebugOptions, 'limitFactor' | 'signal'>,
): Promise<string> {
  const { spec } = await runningPod(kubectl, target, {
    timeoutSeconds: LIMITS_SECONDS.command * limitFactor,
    signal,
  });
  return spec.nodeName!;
}

/** What root of the node runs to run this. The pod's network is the process's alone, and the rest is the node's. */
export function toolsLine(target: DebugTarget, words: string[], crictl: string, limitFactor: number): string {
  const command = words.map(quote).join(' ');
  if ('node' in target) return command;
  const request = JSON.stringify({ ...target, crictl, crictlSeconds: LIMITS_SECONDS.command * limitFactor });
  return `python3 -c ${quote(PROGRAM)} ${quote(request)} ${command}`;
}
