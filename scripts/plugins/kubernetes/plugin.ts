import type { Plugin, PluginFunction } from '../base';
import { checkConfiguration, diffConfiguration, settingsOf } from './configuration';
import { ObjectKind } from './kind';
import { Session } from './session';
import { parseToken, refusedFunctions } from './token';

/** The version that @pulumi/kubernetes asks for (`pulumi.version` in its package.json). */
export const version = '4.34.2';

/**
 * Stands in for the official Kubernetes plugin: the same tokens, ids, inputs, outputs and recorded state for every kind of
 * object, so that a stack can move between the two. Charts, YAML files and kustomizations are refused.
 */
export function kubernetesPlugin(): Plugin {
  let session: Session | undefined;
  const configured = () => {
    if (!session) throw new Error('the kubernetes plugin was not configured');
    return session;
  };
  return {
    name: 'kubernetes',
    version,
    schema: JSON.stringify({ name: 'kubernetes', version, resources: {}, functions: {} }),
    autonaming: true,
    configuration: {
      check: checkConfiguration,
      diff: diffConfiguration,
      configure: (inputs) => void (session = new Session(settingsOf(inputs))),
    },
    kind: (type) => new ObjectKind(parseToken(type), configured),
    functions: Object.fromEntries(
      Object.entries(refusedFunctions).map(([token, reason]): [string, PluginFunction] => [
        token,
        async () => {
          throw new Error(reason);
        },
      ]),
    ),
  };
}
