import type * as command from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';
import { agentRequest, agentTarget, type SshConnection } from '../commands';

export interface AwaitSshArgs {
  /** Name of the machine in messages. */
  machine: string;
  connection: SshConnection;
  /** Changes when the machine is made anew, and the wait begins again. */
  incarnation: pulumi.Input<string>;
  limitSeconds: number;
}

/** Waits until the machine lets the site's user in. Another host key than the pinned one fails at once, without a retry. */
export function awaitSsh(name: string, args: AwaitSshArgs, opts: pulumi.CustomResourceOptions): command.local.Command {
  const request = pulumi.jsonStringify({
    kind: 'await-ssh',
    name: args.machine,
    target: agentTarget(args.connection),
    incarnation: args.incarnation,
    limitSeconds: args.limitSeconds,
  });
  return agentRequest(name, { request: pulumi.secret(request) }, opts);
}
