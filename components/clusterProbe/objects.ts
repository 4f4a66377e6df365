import type { KubeDocument } from '../plan/clusterTypes';
import type { ClusterProbeRequest } from './facts';
import type { Fence } from './fences';

/** Everything of a run is in namespaces of its own, `sitewright-verify-<run>` and those of fences, and goes with them. */
export const NAMESPACE_PREFIX = 'sitewright-verify-';
/** Marks the namespaces of runs; an annotation says by which process of which machine. */
export const RUN_LABEL = 'sitewright.internal/verify';
export const RUN_BY = 'sitewright.internal/run-by';
export const PROBE_PORT = 8080;
/** A run whose end was never reached leaves nothing running after this time, multiplied by the limit factor. */
export const POD_LIMIT_SECONDS = 900;

const APP = { app: 'probe' };

export const podName = (node: string) => `probe-${node}`;
/** Of a fenced pod: the baseline of policies lets those of a run alone by the name of their namespace. */
export const fenceNamespace = (namespace: string, fence: Fence) =>
  `sitewright-fence-${namespace.slice(NAMESPACE_PREFIX.length)}-${fence.name}`;

/**
 * The objects of a run: one pod on every node, whatever its taints, and one Service over all of them.
 * @param runBy what tells whether the run is alive
 */
export function probeObjects(request: ClusterProbeRequest, namespace: string, runBy: string): KubeDocument[] {
  const metadata = (name: string) => ({ name, namespace });
  return [
    ...place(namespace, runBy),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata('probe'),
      spec: {
        selector: APP,
        ipFamilyPolicy: request.serviceFamilies.length > 1 ? 'RequireDualStack' : 'SingleStack',
        ports: [{ port: PROBE_PORT, protocol: 'TCP' }],
      },
    },
    ...request.nodes.map(({ name }) => pod(metadata(podName(name)), name, request)),
  ];
}

/** One pod behind the policies of a fence; they come before it, so that it is never without them. */
export function fenceObjects(
  request: ClusterProbeRequest,
  fence: Fence,
  { namespace, node, runBy }: { namespace: string; node: string; runBy: string },
): KubeDocument[] {
  return [
    ...place(namespace, runBy),
    ...fence.policies.map((policy) => ({ ...policy, metadata: { ...(policy.metadata as object), namespace } })),
    pod({ name: podName(node), namespace }, node, request),
  ];
}

function place(namespace: string, runBy: string): KubeDocument[] {
  const metadata = { name: 'probe', namespace };
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: namespace,
        labels: { [RUN_LABEL]: 'run', 'pod-security.kubernetes.io/enforce': 'baseline' },
        annotations: { [RUN_BY]: runBy },
      },
    },
    // The default account of a new namespace comes a moment later, and pods are refused until then.
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
  ];
}

/** It does nothing: what is measured in its network is a process of its node (podProgram), so that any bundle will do. */
function pod(metadata: object, node: string, { pauseImage, limitFactor }: ClusterProbeRequest): KubeDocument {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, labels: APP },
    spec: {
      nodeName: node,
      tolerations: [{ operator: 'Exists' }],
      serviceAccountName: 'probe',
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      activeDeadlineSeconds: Math.round(POD_LIMIT_SECONDS * limitFactor),
      containers: [
        {
          name: 'probe',
          image: pauseImage,
          // As the images of the add-ons: a node does not go out to a registry.
          imagePullPolicy: 'Never',
        },
      ],
    },
  };
}
