import type { SiteSpec } from '../spec/schema';
import type { BundlePlan, ClusterDnsPlan, KubeDocument } from './clusterTypes';
import { CRI_SOCKET } from './clusterPaths';
import type { Findings } from './findings';
import { quantity, seconds, wholeSeconds } from './kubeValues';
import { componentVersion, knowsPinnedImages } from './versions';

/**
 * kubelet of every node, as kubeadm stores it for the cluster. `resolvConf` is left out on purpose: kubeadm writes
 * /run/systemd/resolve/resolv.conf on the nodes where systemd-resolved runs, whose stub would be a loop for CoreDNS, and
 * /etc/resolv.conf on the others; the scripts of a node and drift look at it (components/cluster/node/resolver). Serving
 * certificates are the cluster's own (components/cluster/kubeletCertificates).
 */
export function planKubelet(
  spec: SiteSpec,
  domain: string,
  dns: Pick<ClusterDnsPlan, 'clusterDnsAddresses'>,
  bundle: BundlePlan | null,
  findings: Findings,
): KubeDocument {
  const { reserved, eviction, shutdown } = spec.kubernetes.kubelet;
  const path = ['kubernetes', 'kubelet', 'shutdown'];
  const grace = wholeSeconds(shutdown.gracePeriod, [...path, 'gracePeriod'], findings);
  const critical = wholeSeconds(shutdown.critical, [...path, 'critical'], findings);
  if (critical > grace) {
    findings.error(
      [...path, 'critical'],
      shutdown.critical,
      `${shutdown.critical} is more than the whole of it: gracePeriod is ${shutdown.gracePeriod}, and critical is its last part`,
    );
  }
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    cgroupDriver: 'systemd',
    containerRuntimeEndpoint: CRI_SOCKET,
    clusterDNS: dns.clusterDnsAddresses,
    clusterDomain: domain,
    rotateCertificates: true,
    serverTLSBootstrap: true,
    // With swap kept on, kubelet starts and gives none of it to pods (memorySwap NoSwap is its default).
    failSwapOn: spec.nodePrep.swap === 'off',
    systemReserved: { cpu: reserved.cpu, memory: quantity(reserved.memory) },
    ...(bundle === null || knowsPinnedImages(componentVersion(bundle, 'containerd'))
      ? {}
      : // Images of the bundle cannot be pulled again: kubelet removes none until a full disk makes it evict pods.
        { imageGCHighThresholdPercent: 100 }),
    // A threshold that is left out is off once one of them is stated, so all that kubelet has by default are here.
    evictionHard: {
      'memory.available': quantity(eviction.memory),
      'nodefs.available': eviction.rootDisk,
      'nodefs.inodesFree': '5%',
      'imagefs.available': eviction.imageDisk,
      'imagefs.inodesFree': '5%',
    },
    shutdownGracePeriod: seconds(grace),
    shutdownGracePeriodCriticalPods: seconds(critical),
  };
}
