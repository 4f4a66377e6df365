import { stringify } from 'yaml';
import type { SitePlan } from '../../components/plan';

/**
 * What a careful person would write by hand to make a cluster of prepared machines: kubeadm with its own kube-proxy and
 * CoreDNS, from the bundle that the kit uses. It is made once, in the order of its lines: nothing of it looks whether it is
 * done already, holds a checksum against anything, or can change a cluster that is there.
 */
export interface PlainCluster {
  /** Script that gives a machine the programs, images and settings of a node; by the machine's name. */
  nodes: Record<string, string>;
  /** Script that begins the cluster on its control-plane machine. */
  init: string;
  /** Script on the same that ends when every node is Ready and CoreDNS answers. */
  wait: string;
  controlPlane: string;
  workers: string[];
}

const WAIT = '15m';
const WORKER_IMAGES = ['pause', 'kube-proxy', 'coredns'];

/** @param plan of a site whose cluster has one control-plane machine and cni `routes` */
export function plainCluster(plan: SitePlan): PlainCluster {
  const cluster = plan.cluster!;
  const [controlPlane, ...others] = plan.nodes.filter(({ role }) => role === 'control-plane');
  if (controlPlane === undefined || others.length > 0) throw new Error('the bench knows one control-plane machine');
  const images = Object.keys(cluster.bundle.images);
  return {
    nodes: Object.fromEntries(
      plan.nodes.map((node) => [node.name, nodeScript(plan, node, node === controlPlane ? images : WORKER_IMAGES)]),
    ),
    init: `set -euo pipefail
cat >/root/kubeadm.yaml <<'END_OF_FILE'
${kubeadmDocuments(plan, controlPlane)}END_OF_FILE
kubeadm init --config /root/kubeadm.yaml
`,
    wait: `set -euo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl wait --for=condition=Ready node --all --timeout=${WAIT}
kubectl -n kube-system rollout status deployment/coredns --timeout=${WAIT}
`,
    controlPlane: controlPlane.name,
    workers: plan.nodes.filter((node) => node !== controlPlane).map(({ name }) => name),
  };
}

type Node = SitePlan['nodes'][number];
const addressOf = ({ addresses }: Node) => addresses[0]!.replace(/\/.*/, '');

const nodeScript = ({ cluster }: SitePlan, node: Node, images: string[]) => `set -euo pipefail
bundle=/run/plain-bundle
mkdir -p "$bundle" /opt/cni/bin /etc/cni/net.d /etc/containerd
mountpoint -q "$bundle" || mount -o ro /dev/disk/by-id/virtio-bundle "$bundle"
install -m 755 "$bundle"/bin/* /usr/local/bin/
install -m 755 "$bundle"/cni/* /opt/cni/bin/
cat >/etc/cni/net.d/10-pods.conflist <<'END_OF_FILE'
${JSON.stringify(node.cluster!.cniConfiguration)}
END_OF_FILE
cat >/etc/containerd/config.toml <<'END_OF_FILE'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${cluster!.bundle.images.pause}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
END_OF_FILE
cat >/etc/systemd/system/containerd.service <<'END_OF_FILE'
[Service]
ExecStart=/usr/local/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
[Install]
WantedBy=multi-user.target
END_OF_FILE
cat >/etc/systemd/system/kubelet.service <<'END_OF_FILE'
[Unit]
After=containerd.service
[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml --node-ip=${addressOf(node)} $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=10
[Install]
WantedBy=multi-user.target
END_OF_FILE
systemctl daemon-reload
systemctl enable --quiet kubelet
systemctl enable --quiet --now containerd
for image in ${images.join(' ')}; do
  ctr -n k8s.io images import "$bundle/images/$image.tar"
done
`;

/** Exported for the test that has kubeadm read them. */
export function kubeadmDocuments({ cluster, address }: SitePlan, controlPlane: Node): string {
  const { kubernetesVersion, bundle, domain, kubeProxy } = cluster!;
  const tagOf = (image: 'coredns' | 'etcd') => bundle.images[image]!.split(':').pop()!;
  const arg = (name: string, value: string) => ({ name, value });
  // An emulated machine misses the deadlines that real ones keep, and then only restarts what it has.
  const leases = [
    arg('leader-elect-lease-duration', '60s'),
    arg('leader-elect-renew-deadline', '40s'),
    arg('leader-elect-retry-period', '10s'),
  ];
  const documents = [
    {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'InitConfiguration',
      nodeRegistration: { name: controlPlane.name, imagePullPolicy: 'Never' },
      localAPIEndpoint: { advertiseAddress: addressOf(controlPlane) },
      timeouts: { controlPlaneComponentHealthCheck: '15m0s', kubernetesAPICall: '15m0s', kubeletHealthCheck: '15m0s' },
    },
    {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'ClusterConfiguration',
      kubernetesVersion: `v${kubernetesVersion}`,
      imageRepository: bundle.imageRepository,
      networking: {
        dnsDomain: domain,
        podSubnet: address.podCidrs.join(','),
        serviceSubnet: address.serviceCidrs.join(','),
      },
      dns: { imageTag: tagOf('coredns') },
      etcd: {
        local: {
          imageTag: tagOf('etcd'),
          extraArgs: [arg('election-timeout', '5000'), arg('heartbeat-interval', '500')],
        },
      },
      controllerManager: { extraArgs: leases },
      scheduler: { extraArgs: leases },
    },
    { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', cgroupDriver: 'systemd' },
    { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration', mode: kubeProxy.mode },
  ];
  return documents.map((document) => stringify(document)).join('---\n');
}
