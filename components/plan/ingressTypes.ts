import type { IngressImage, KubeDocument, Taint } from './clusterTypes';
import type { IngressController } from './ingressTuning';

/** The ingress controller of a cluster: the release's own objects with these edits, and what the kit adds to them. */
export interface IngressPlan {
  controller: IngressController;
  version: string;
  expose: 'host-network' | 'load-balancer';
  namespace: string;
  /** What an Ingress names as its `ingressClassName`. */
  className: string;
  /** An Ingress without a class belongs to it too. */
  defaultClass: boolean;
  /** Machines that a pod can run on, in the order of the site file. */
  nodes: string[];
  /** What Ingress objects report; null: the address of every machine with a ready pod. */
  address: string | null;
  /** For hosts without one, in PEM; null: none. Its key is a secret of the stack. */
  certificate: string | null;
  /** TCP ports of each of `nodes` that its pod listens on; empty with `load-balancer`. */
  ports: number[];
  edits: IngressManifestEdits;
  /** What pods refer to or are protected by, before them. */
  objects: KubeDocument[];
  /** What is ready only when a pod is. */
  lateObjects: KubeDocument[];
}

/** Edits of the parsed objects of a release; a place that is missing there is an error that names it. */
export interface IngressManifestEdits {
  /** The controller's objects by the name that the release has for them. */
  names: { workload: string; container: string; configMap: string; image: IngressImage };
  /** Whole `data` of the ConfigMap. */
  config: Record<string, string>;
  /** Arguments of the container that must exist, and go. */
  argumentsRemoved: string[];
  /** Arguments at the end. */
  argumentsAdded: string[];
  /** Ports, and volumes with their mounts, by name; they must exist, and go. */
  portsRemoved: string[];
  volumesRemoved: string[];
  /** Whole objects that go, such as `Job ingress-nginx-admission-create`. */
  objectsRemoved: string[];
  /** Labels of the Namespace. */
  namespaceLabels: Record<string, string>;
  /** What of the pod is set, whatever the release has. */
  pod: {
    hostNetwork: boolean;
    dnsPolicy: 'ClusterFirst' | 'ClusterFirstWithHostNet';
    nodeSelector: Record<string, string>;
    tolerations: { key: string; operator: 'Equal' | 'Exists'; value?: string; effect: Taint['effect'] }[];
  };
  resources: { requests: { cpu: string; memory: string }; limits: { memory: string } };
  /** Pods of a Deployment; null: a DaemonSet. */
  replicas: number | null;
}
