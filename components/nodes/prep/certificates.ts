import { bash } from '../bash';

/** Certificates of a machine of a cluster, judged by its clock. */
export const CERTIFICATES = bash`
# client_certificate KUBECONFIG: what somebody logs in with, as kubeadm and kubelet write it.
client_certificate() {
  local key value
  while read -r key value; do
    case $key in
      client-certificate-data:) base64 -d <<<"$value"; return ;;
      client-certificate:) cat "$value"; return ;;
    esac
  done <"$1"
}

# client_is_valid KUBECONFIG
client_is_valid() { client_certificate "$1" 2>/dev/null | openssl x509 -checkend 0 -noout >/dev/null 2>&1; }
`;
