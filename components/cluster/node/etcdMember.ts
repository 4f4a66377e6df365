import { bash } from '../../nodes/bash';

/** On a control-plane node: its own member of etcd, with the certificates that kubeadm made to look at it. */
export const ETCD_MEMBER = bash`
ETCD_MANIFEST=/etc/kubernetes/manifests/etcd.yaml

# manifest_argument MANIFEST NAME: an argument of a static pod, as kubeadm writes it.
manifest_argument() {
  local line
  while read -r line; do
    case $line in "- --$2="*) printf '%s' "\${line#*=}" && return ;; esac
  done <"$1"
  return 1
}

# etcdctl_here LIMIT_SECONDS WORD...: an emulated machine needs longer than the two seconds that etcdctl gives a
# connection. The address is that of the pod's family.
etcdctl_here() {
  local pki=/etc/kubernetes/pki/etcd urls
  [ -e "$ETCD_MANIFEST" ] || refuse "this machine runs no etcd: $ETCD_MANIFEST is not there"
  urls=$(manifest_argument "$ETCD_MANIFEST" listen-client-urls) || refuse "$ETCD_MANIFEST names no listen-client-urls"
  etcdctl --endpoints "\${urls%%,*}" --cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" --key "$pki/healthcheck-client.key" \
    --dial-timeout 60s --command-timeout "$1s" "\${@:2}"
}
`;
