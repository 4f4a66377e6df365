import type { NodeSpec, SiteSpec } from '../spec/schema';
import { sizeToBytes } from '../spec/units';
import type { Findings } from './findings';
import type { NodePlan, SpecPath } from './types';

/** kubeadm's preflight refuses a control plane with fewer. */
const CONTROL_PLANE_CPUS_AT_LEAST = 2;

/** What a machine that the kit makes consists of, whoever runs it. */
export interface MachineSize {
  cpus: number;
  memoryBytes: number;
  rootDiskBytes: number;
  /** Null: no separate etcd disk. */
  etcdDiskBytes: number | null;
}

/** Size of the machine of a node; null where the machine was there before the kit. */
export const sizeOf = ({ kvm, vsphere }: Pick<NodePlan, 'kvm' | 'vsphere'>): MachineSize | null => kvm ?? vsphere;

export function planSize(spec: SiteSpec, node: NodeSpec, path: SpecPath, findings: Findings): MachineSize {
  const required = <T>(key: 'cpus' | 'memory' | 'rootDisk', value: T | undefined, otherwise: T, example: string): T => {
    if (value !== undefined) return value;
    findings.error(
      [...path, key],
      undefined,
      `${node.name} has no ${key}: state it for the machine or in machines.defaults, such as ${key}: ${example}`,
    );
    return otherwise;
  };
  const { defaults } = spec.machines;
  const cpus = required('cpus', node.cpus ?? defaults.cpus, 1, '2');
  if (
    node.role === 'control-plane' &&
    cpus < CONTROL_PLANE_CPUS_AT_LEAST &&
    (node.cpus ?? defaults.cpus) !== undefined
  ) {
    findings.warning(
      node.cpus === undefined ? ['machines', 'defaults', 'cpus'] : [...path, 'cpus'],
      cpus,
      `${cpus} is too few for ${node.name}: kubeadm refuses a control plane with fewer than ${CONTROL_PLANE_CPUS_AT_LEAST}`,
    );
  }
  if (node.role === 'worker' && node.etcdDisk !== undefined && node.etcdDisk !== 'none') {
    findings.error(
      [...path, 'etcdDisk'],
      node.etcdDisk,
      `${node.name} is a worker and only control-plane machines hold etcd: leave etcdDisk out`,
    );
  }
  const etcdDisk = node.role === 'control-plane' ? (node.etcdDisk ?? defaults.etcdDisk ?? 'none') : 'none';
  return {
    cpus,
    memoryBytes: sizeToBytes(required('memory', node.memory ?? defaults.memory, '1B', '4GiB')),
    rootDiskBytes: sizeToBytes(required('rootDisk', node.rootDisk ?? defaults.rootDisk, '1B', '20GiB')),
    etcdDiskBytes: etcdDisk === 'none' ? null : sizeToBytes(etcdDisk),
  };
}
