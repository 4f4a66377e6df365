import type { KubeDocument } from '../plan/clusterTypes';
import type { ClusterProbeRequest } from './facts';
import { podProgram } from './podProgram';

/** Everything of a run is in this namespace and goes with it. */
export const PROBE_NAMESPACE = 'sitewright-verify';
export const PROBE_PORT = 8080;
/** A run whose end was never reached leaves nothing running after this time, multiplied by the limit factor. */
const POD_LIMIT_SECONDS = 900;

const APP = { app: 'probe' };
const FOLDER = '/probe';
export const PROBE_COMMAND = ['python3', '-u', `${FOLDER}/probe.py`];

export const podName = (node: string) => `probe-${node}`;
const metadata = (name: string) => ({ name, namespace: PROBE_NAMESPACE });

/** The objects of a run: one pod on every node, whatever its taints, and one Service over all of them. */
export function probeObjects(request: ClusterProbeRequest): KubeDocument[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      // Echo requests need what every container has by default, and nothing else.
      metadata: { name: PROBE_NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } },
    },
    // The default account of a new namespace comes a moment later, and pods are refused until then.
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: metadata('probe') },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata('probe'), data: { 'probe.py': podProgram } },
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
    ...request.nodes.map(({ name }) => pod(name, request)),
  ];
}

function pod(node: string, { toolboxImage, podFamilies, limitFactor }: ClusterProbeRequest): KubeDocument {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata(podName(node)), labels: APP },
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
          image: toolboxImage,
          // As the images of the add-ons: a node does not go out to a registry.
          imagePullPolicy: 'Never',
          command: [...PROBE_COMMAND, 'serve', node, `${PROBE_PORT}`, podFamilies.join(',')],
          readinessProbe: { tcpSocket: { port: PROBE_PORT }, periodSeconds: 2, timeoutSeconds: 10 },
          volumeMounts: [{ name: 'program', mountPath: FOLDER, readOnly: true }],
        },
      ],
      volumes: [{ name: 'program', configMap: { name: 'probe' } }],
    },
  };
}
