import { bash } from '../../nodes/bash';

/**
 * kubelet's own certificate, on a control-plane node. kubelet renews it by asking the API; once it has expired, kubelet ends
 * at its start, and starts neither etcd nor the API server that it would have to ask. The authority is on the node, so it
 * signs another, as kubeadm does for a new node. Asks no API.
 */
export const KUBELET_CLIENT = bash`
kubelet_client_renew() {
  local conf=/etc/kubernetes/kubelet.conf pki=/var/lib/kubelet/pki made="$RUN_DIR/kubelet" current pem key value now
  if [ -s "$conf" ] && client_is_valid "$conf"; then
    # Nobody else starts again what is stopped below.
    systemctl start kubelet.service >&2 || refuse 'kubelet does not start: see journalctl -u kubelet on this machine'
    return
  fi
  step "kubelet's certificate has expired or cannot be used: the authority of the cluster signs another"
  audit "$conf" 'no certificate that is valid' 'another certificate'
  rm -rf "$made"
  kubeadm init phase kubeconfig kubelet --config "$KUBEADM_FILE" --kubeconfig-dir "$made" >&2 || refuse 'kubeadm could not sign a certificate for kubelet; its last words are above'
  # Where kubelet keeps those that it gets later, in its own form: one file with the key, and a link to the last one.
  printf -v now '%(%Y-%m-%d-%H-%M-%S)T' -1
  pem=$pki/kubelet-client-$now.pem current=$pki/kubelet-client-current.pem
  mkdir -p "$pki"
  (umask 077 && while read -r key value; do
    case $key in client-certificate-data: | client-key-data:) base64 -d <<<"$value" ;; esac
  done <"$made/kubelet.conf" >"$pem") || refuse "$pem cannot be written: make room and check that its file system is writable, then run again"
  ln -sfn "$pem" "$current"
  # Otherwise kubelet would renew the one of the link and still begin with that of this file.
  if ! { (umask 077 && sed "s|client-certificate-data: .*|client-certificate: $current|; s|client-key-data: .*|client-key: $current|" "$made/kubelet.conf" >"$conf.new") &&
    mv -f "$conf.new" "$conf"; }; then
    refuse "$conf cannot be written: make room and check that its file system is writable, then run again"
  fi
  rm -rf "$made"
  systemctl restart kubelet.service >&2 || refuse 'kubelet does not start: see journalctl -u kubelet on this machine'
}
`;
