import { bash } from '../../nodes/bash';

/** On a control-plane node: its own member of etcd, with the certificates that kubeadm made to look at it. */
export const ETCD_MEMBER = bash`
etcdctl_here() {
  etcdctl --endpoints https://127.0.0.1:2379 --command-timeout 60s --cacert /etc/kubernetes/pki/etcd/ca.crt \
    --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key "$@"
}
`;
