import * as pulumi from '@pulumi/pulumi';
import { agentRequest, agentTarget } from '../commands';
import { goneWith, type LostMachine, type Machine } from '../machines/machine';
import type { LeaveSettings } from './leaveScripts';

export interface LeaveArgs {
  /** A machine that answers, or one that is lost. */
  machine: Machine | LostMachine;
  /** Machines of the control plane that stay, in the order in which they are asked. */
  controlPlanes: Machine[];
  drainLimitSeconds: number;
  limitSeconds: number;
}

const withoutPrefix = (address: string) => address.replace(/\/.*/, '');

/** Takes the node of a machine out of the cluster. That it is in the state says that this was done. */
export function leave(name: string, args: LeaveArgs, opts: pulumi.CustomResourceOptions): pulumi.Resource {
  const { machine, controlPlanes, drainLimitSeconds, limitSeconds } = args;
  const isHere = 'connection' in machine;
  const settings: LeaveSettings = {
    node: machine.name,
    addresses: machine.addresses.map(withoutPrefix),
    drainLimitSeconds,
    limitSeconds,
  };
  const request = pulumi.jsonStringify({
    kind: 'leave-node',
    name: machine.name,
    target: isHere ? agentTarget(machine.connection) : null,
    incarnation: isHere ? machine.incarnation : null,
    isControlPlane: machine.role === 'control-plane',
    controlPlanes: controlPlanes.map((one) => ({ name: one.name, target: agentTarget(one.connection) })),
    settings,
  });
  return agentRequest(name, { request: pulumi.secret(request) }, { ...opts, ...goneWith(machine) });
}
