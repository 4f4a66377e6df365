import { CRI_SOCKET, KUBELET_WORKING_FOLDER, PROGRAM_FOLDER } from '../plan/clusterPaths';

export const HEAD = '# Made by sitewright. Edits are undone by the next run on this node.\n';

/** As containerd's own unit has it; containers go on when it restarts. */
export const CONTAINERD_UNIT = `${HEAD}[Unit]
Description=containerd container runtime
After=network.target local-fs.target

[Service]
ExecStartPre=-/sbin/modprobe overlay
ExecStart=${PROGRAM_FOLDER}/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNPROC=infinity
LimitCORE=infinity
LimitNOFILE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
`;

/** As Kubernetes' packages have it, with a condition: without its configuration kubelet could only fail, every 10 seconds. */
export const KUBELET_UNIT = `${HEAD}[Unit]
Description=kubelet: the Kubernetes node agent
Wants=network-online.target containerd.service
After=network-online.target containerd.service
ConditionPathExists=/var/lib/kubelet/config.yaml
StartLimitIntervalSec=0

[Service]
WorkingDirectory=-${KUBELET_WORKING_FOLDER}
ExecStart=${PROGRAM_FOLDER}/kubelet
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
`;

/** kubeadm's own drop-in (release packages, kubeadm/10-kubeadm.conf) with the kit's paths. */
export const KUBEADM_DROP_IN = `${HEAD}[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=
ExecStart=${PROGRAM_FOLDER}/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
`;

export const CRICTL_CONFIG = `${HEAD}runtime-endpoint: ${CRI_SOCKET}
image-endpoint: ${CRI_SOCKET}
# An emulated machine can take longer than the default of 2 s for a list.
timeout: 30
`;

/**
 * kubelet does not start without the disk of etcd: it would start an empty etcd on the root disk, which is an empty
 * cluster.
 */
export const ETCD_MOUNT_DROP_IN = `${HEAD}[Unit]
RequiresMountsFor=/var/lib/etcd
`;

export const SNAPSHOT_UNIT = 'sitewright-etcd-snapshot';

/** At a low priority: it reads what etcd has in memory and on its disk, which etcd needs in time. */
export const snapshotService = (script: string) => `${HEAD}[Unit]
Description=Encrypted snapshot of etcd
After=kubelet.service

[Service]
Type=oneshot
Nice=10
IOSchedulingClass=idle
ExecStart=/bin/bash ${script}
`;

/** The first one soon after a start of the machine; machines that started together do not all write at once. */
export const snapshotTimer = (everySeconds: number) => `${HEAD}[Unit]
Description=Time for an encrypted snapshot of etcd

[Timer]
OnActiveSec=5min
OnUnitActiveSec=${everySeconds}s
RandomizedDelaySec=${Math.min(300, Math.floor(everySeconds / 10))}s

[Install]
WantedBy=timers.target
`;

/** The rules stay when the service stops: pods go on. */
export function masqueradeUnit(file: string): string {
  return `${HEAD}[Unit]
Description=Pods reach what is outside the cluster by the address of their node
Before=kubelet.service
After=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=nft -f ${file}

[Install]
WantedBy=multi-user.target
`;
}
