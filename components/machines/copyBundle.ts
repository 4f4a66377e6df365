import type * as command from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';
import { agentRequest, agentTarget, type SshConnection } from '../commands';

export interface CopyBundleArgs {
  /** Name of the machine in messages. */
  machine: string;
  connection: SshConnection;
  /** Changes when the machine is made anew, and it gets its copy again. */
  incarnation: pulumi.Input<string>;
  bundleId: string;
}

/** Copies the bundle to a machine, verified there. What an interrupted copy brought, and what an earlier bundle has, is not sent again. */
export function copyBundle(
  name: string,
  args: CopyBundleArgs,
  opts: pulumi.CustomResourceOptions,
): command.local.Command {
  const request = pulumi.jsonStringify({
    kind: 'copy-bundle',
    name: args.machine,
    target: agentTarget(args.connection),
    incarnation: args.incarnation,
    bundleId: args.bundleId,
  });
  return agentRequest(name, { request: pulumi.secret(request) }, opts);
}
