import type { NodePlan, OffloadRule } from '../plan/types';

/** What of a node decides which packets pass: when it changes, the proof on the wire is repeated. */
export interface NetworkSlice {
  addresses: string[];
  interface: NodePlan['interface'];
  offloads: Pick<OffloadRule, 'device' | 'driver' | 'kernel' | 'features' | 'rings'>[];
  /** Modules that wrap packets, of those the node loads. */
  encapsulationModules: string[];
}

const ENCAPSULATION_MODULES = ['ipip', 'vxlan', 'wireguard'];

/** Leaves out names and reasons: a reworded one changes no packet. */
export function networkSlice(node: NodePlan): NetworkSlice {
  return {
    addresses: node.addresses,
    interface: node.interface,
    offloads: node.offloads.map(({ device, driver, kernel, features, rings }) => ({
      device,
      driver,
      kernel,
      features,
      rings,
    })),
    encapsulationModules: node.modules.map(({ name }) => name).filter((name) => ENCAPSULATION_MODULES.includes(name)),
  };
}
