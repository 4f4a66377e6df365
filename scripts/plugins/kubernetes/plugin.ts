import type { Plugin, PluginFunction } from '../base';
import { checkConfiguration, diffConfiguration, settingsOf } from './configuration';
import { ObjectKind } from './kind';
import { Session } from './session';
import { parseToken, refusedFunctions } from './token';

/** The version that @pulumi/kubernetes asks for (`pulumi.version` in its package.json). */
export const version = '4.34.2';

/**
 * Stands in for the official Kubernetes plugin: the same tokens, ids, inputs, outputs and recorded state for every kind of
 * object, so that a stack can move between the two. Charts, YAML files and kustomizations are refused. What differs:
 *
 * - An object is made by an apply too, not by a POST, with a field manager that follows from the URN: a run that was cut
 *   off before an object was recorded is carried on with. One that exists and was not made by this very resource is
 *   refused, as there.
 * - A Diff compares the program with the recorded inputs, and a refresh takes over only what changed in the cluster since
 *   the last apply. The official plugin compares with the live object, in the spelling of its own Go types.
 * - A definition is established before it is done, and is changed by an apply, not replaced by a PUT.
 * - An API server that is away is found out at each use and not once at the start.
 * - Fields that kubectl has set are not taken over without being asked: that is a conflict.
 * - `pulumi.com/waitFor` and `pulumi.com/replaceUnready` are refused, and so are the settings listed in configuration.ts.
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
