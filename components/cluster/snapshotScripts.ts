import { assignment } from '../nodes/bash';
import { AS_ROOT } from '../nodes/prep/asRoot';
import { CORE } from '../nodes/prep/core';
import { AUDIT_LOG } from '../nodes/script';
import { ENCRYPTION_FILE, ETCD_FOLDER, RESTORE_FOLDER } from '../plan/clusterPaths';
import { FORMAT, SNAPSHOT_SUFFIX, type SnapshotHeader } from '../secrets/etcdSnapshot';
import { CLUSTER_CORE } from './node/core';
import { ETCD_RESTORE } from './node/etcdRestore';
import { ETCD_MEMBER } from './node/etcdMember';
import { LOCAL_API_READY } from './node/localApi';
import { ETCD_SNAPSHOT, SNAPSHOT_STATUS } from './node/etcdSnapshot';

export interface SnapshotSettings {
  site: string;
  /** The control-plane machine that it runs on. */
  node: string;
  /** Whom it is encrypted to (components/secrets/etcdSnapshot). */
  publicKeyPem: string;
  /** Where it goes, and how many of this machine are kept there; null: to stdout. */
  folder: { path: string; keep: number } | null;
}

type Values = [name: string, value: string | readonly string[]][];

const valuesOf = (values: Values) => values.map(([name, value]) => assignment(name, value)).join('');

/** A script of a control-plane machine that takes one snapshot of its etcd. */
export function renderSnapshotScript({ site, node, publicKeyPem, folder }: SnapshotSettings): string {
  const values: Values = [
    ['SITE', site],
    ['NODE', node],
    ['PUBLIC_KEY', publicKeyPem],
    ['ENCRYPTION_FILE', ENCRYPTION_FILE],
    ['FORMAT', FORMAT],
    ['SUFFIX', SNAPSHOT_SUFFIX],
    ['FOLDER', folder?.path ?? ''],
    ['KEEP', String(folder?.keep ?? 0)],
    ['AUDIT_LOG', AUDIT_LOG],
    ['RUN_DIR', '/run/sitewright'],
  ];
  const head = `# Takes a snapshot of etcd on ${node}. Made by sitewright.\n${AS_ROOT}`;
  return [head, valuesOf(values), CORE, ETCD_MEMBER, SNAPSHOT_STATUS, ETCD_SNAPSHOT, 'main </dev/null\n'].join('\n');
}

/**
 * `look` says what there is; then, each on all machines before the next on any: `receive`, `stop`, `data`, `start`, `end`.
 * `kubelet` is for every machine, and `ready` waits for all Nodes.
 */
export type RestoreAction = 'look' | 'receive' | 'stop' | 'data' | 'start' | 'end' | 'kubelet' | 'ready';

export interface RestoreSettings {
  site: string;
  node: string;
  snapshot: Pick<SnapshotHeader, 'sha256' | 'sizeBytes'>;
  /** Every member, as etcd's --initial-cluster has them. */
  initialCluster: string;
  /** Every Node. */
  nodes: string[];
  /** Of each wait. */
  limitSeconds: number;
}

/** For `receive`, the snapshot follows on the script's standard input. */
export function renderRestoreScript(action: RestoreAction, settings: RestoreSettings): string {
  const { site, node, snapshot, initialCluster, nodes, limitSeconds } = settings;
  const values: Values = [
    ['ACTION', action],
    ['SITE', site],
    ['NODE', node],
    ['SHA256', snapshot.sha256],
    ['SIZE_BYTES', String(snapshot.sizeBytes)],
    ['INITIAL_CLUSTER', initialCluster],
    ['NODES', nodes],
    ['LIMIT_SECONDS', String(limitSeconds)],
    ['RESTORE', RESTORE_FOLDER],
    ['ETCD_FOLDER', ETCD_FOLDER],
    ['AUDIT_LOG', AUDIT_LOG],
    ['RUN_DIR', '/run/sitewright'],
  ];
  const head = `# Restores etcd on ${node}: ${action}. Made by sitewright.\n${AS_ROOT}`;
  // One line: what follows it is not read as a script.
  const end = action === 'receive' ? 'main; exit\n' : 'main </dev/null\n';
  return [
    head,
    valuesOf(values),
    CORE,
    CLUSTER_CORE,
    ETCD_MEMBER,
    SNAPSHOT_STATUS,
    LOCAL_API_READY,
    ETCD_RESTORE,
    end,
  ].join('\n');
}
