import { stringify } from 'yaml';
import { sha256OfText } from '../bundle/checksum';
import type { EncryptionKey } from '../secrets/pki';
import type { ClusterPlan, KubeDocument, NodeClusterPlan } from '../plan/clusterTypes';

/** YAML of Kubernetes documents, one after the other. Long lines are not folded: people compare them. */
export function toYaml(...documents: KubeDocument[]): string {
  return documents.map((document) => stringify(document, { lineWidth: 0 })).join('---\n');
}

/** What kubeadm gets on a control-plane node, to begin the cluster by or to make its static pods anew. */
export function kubeadmDocuments(cluster: ClusterPlan, node: NodeClusterPlan): string {
  const { clusterConfiguration, kubeletConfiguration } = cluster.kubeadm;
  return toYaml(initConfiguration(node), clusterConfiguration, kubeletConfiguration);
}

/** Of a node that joins, what it would begin a cluster by: kubeadm makes static pods of nothing else. */
function initConfiguration({ registration }: NodeClusterPlan): KubeDocument {
  const { kind, controlPlane, ...rest } = registration;
  return kind === 'InitConfiguration'
    ? registration
    : { ...rest, kind: 'InitConfiguration', ...(controlPlane as Record<string, unknown>) };
}

/** Stands in the JoinConfiguration for the token, which the node puts in its place. */
export const TOKEN_PLACE = '@TOKEN@';

/** What kubeadm gets on a node that joins. The CA is pinned: a wrong API server cannot take a node in. */
export function joinDocument(cluster: ClusterPlan, node: NodeClusterPlan, caCertHash: string): string {
  const { name, port } = cluster.endpoint;
  return toYaml({
    ...node.registration,
    discovery: {
      bootstrapToken: {
        apiServerEndpoint: `${name}:${port}`,
        token: TOKEN_PLACE,
        caCertHashes: [caCertHash],
      },
    },
  });
}

/** Secrets are written encrypted, and read either way: those of a cluster that began without stay readable. */
export function encryptionConfiguration(keys: EncryptionKey[]): string {
  return toYaml({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'EncryptionConfiguration',
    resources: [
      {
        resources: ['secrets'],
        providers: [{ secretbox: { keys } }, { identity: {} }],
      },
    ],
  });
}

/** Short fingerprint of plain data: tells whether what was applied last is what is planned. */
export function fingerprint(...data: unknown[]): string {
  return sha256OfText(JSON.stringify(data));
}
