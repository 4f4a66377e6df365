/** Files of a node that the documents of the plan name and that the cluster's scripts write. */

/** Of every control-plane node, 0700: what the API server reads besides the files of kubeadm. Mounted as a whole. */
export const API_SERVER_FOLDER = '/etc/kubernetes/sitewright';
/** apiserver.config.k8s.io/v1 EncryptionConfiguration, with the key of Secrets at rest. */
export const ENCRYPTION_FILE = `${API_SERVER_FOLDER}/encryption.yaml`;
/** audit.k8s.io/v1 Policy. */
export const AUDIT_POLICY_FILE = `${API_SERVER_FOLDER}/audit-policy.yaml`;
/** apiserver.config.k8s.io/v1 AdmissionConfiguration; absent where the defaults of Kubernetes hold. */
export const ADMISSION_FILE = `${API_SERVER_FOLDER}/admission.yaml`;
/** Changes of kubeadm's static pods, where there are any. */
export const STATIC_POD_PATCHES_FOLDER = `${API_SERVER_FOLDER}/patches`;
/** Where kubeadm has the certificate authority of Kubernetes; the API server sees it under the same path. */
export const KUBERNETES_CA_FILE = '/etc/kubernetes/pki/ca.crt';
/** Where the API server writes its audit log; made by the control-plane script, 0700. */
export const AUDIT_LOG_FOLDER = '/var/log/kubernetes';

/** What the kit remembers of the cluster on each node. */
export const STATE_FOLDER = '/var/lib/sitewright/cluster';
/** Of a control-plane node that belongs to a cluster that lives: kubeadm has ended well there, once. */
export const INITIALISED_FILE = `${STATE_FOLDER}/initialised`;
/** Data folder of etcd, on a disk of its own where the machine has one. */
export const ETCD_FOLDER = '/var/lib/etcd';
/** Of the file system on that disk. */
export const ETCD_LABEL = 'sitewright-etcd';
export const CRI_SOCKET = 'unix:///run/containerd/containerd.sock';
/** Programs of the bundle, on the path of systemd's services and of root. */
export const PROGRAM_FOLDER = '/usr/local/bin';
/** Working directory of kubelet, which reads log-ins of registries from `config.json` there: kubeadm reset empties its own folder. */
export const KUBELET_WORKING_FOLDER = '/etc/sitewright/registries';
export const REGISTRY_LOGINS_FILE = `${KUBELET_WORKING_FOLDER}/config.json`;
export const CNI_PLUGIN_FOLDER = '/opt/cni/bin';
export const CNI_CONFIGURATION_FILE = '/etc/cni/net.d/10-sitewright.conflist';
/** A restore of etcd that is not over; while it is there, the control plane of the machine is left alone. */
export const RESTORE_FOLDER = '/var/lib/sitewright/etcd-restore';
