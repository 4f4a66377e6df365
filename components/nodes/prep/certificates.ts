import { bash } from '../bash';

/**
 * Certificates of a machine of a cluster, and its clock, by which they are judged. Looked at before anything is changed, by
 * each script that would otherwise end in the middle: with an expired one nothing of the control plane can talk to the rest.
 */
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

# expired_certificates: sets EXPIRED to the files of this control-plane machine whose certificate has expired or cannot be read.
expired_certificates() {
  local path
  EXPIRED=()
  for path in /etc/kubernetes/pki/{apiserver,apiserver-etcd-client,apiserver-kubelet-client,front-proxy-client,etcd/server,etcd/peer,etcd/healthcheck-client}.crt; do
    [ ! -s "$path" ] || openssl x509 -checkend 0 -noout -in "$path" >/dev/null 2>&1 || EXPIRED+=("$path")
  done
  for path in /etc/kubernetes/{admin,super-admin,controller-manager,scheduler,kubelet}.conf; do
    [ ! -s "$path" ] || client_is_valid "$path" || EXPIRED+=("$path")
  done
}

# expired_problem: sets PROBLEM; empty: this is no control-plane machine of a cluster, or none has expired.
expired_problem() {
  PROBLEM=
  [ -e "$INITIALISED" ] || return 0
  expired_certificates
  [ "\${#EXPIRED[@]}" -eq 0 ] ||
    PROBLEM="expired on this machine: \${EXPIRED[*]}. Nothing was changed: renew them with 'sitewright certs $SITE --renew', or correct the machine's clock, and run again"
}

# clock_problem AUTHORITY [early]: sets PROBLEM. Certificates are made and checked by the clock of this machine; a wrong one
# shows as anything but itself. With "early" only a clock before it is one. Fails where openssl does not read it.
clock_problem() {
  local from until now
  PROBLEM=
  from=$(openssl x509 -noout -startdate <<<"$1" 2>/dev/null)
  until=$(openssl x509 -noout -enddate <<<"$1" 2>/dev/null)
  # An empty date is this day.
  if [ -z "$from" ] || [ -z "$until" ] || ! from=$(date -d "\${from#*=}" +%s) || ! until=$(date -d "\${until#*=}" +%s); then return 1; fi
  printf -v now '%(%s)T' -1
  [ "$now" -lt "$from" ] || { [ "\${2:-}" != early ] && [ "$now" -ge "$until" ]; } || return 0
  PROBLEM="the clock of this machine says $(date -u -d "@$now" +%FT%TZ), and the certificate authority of the site is valid from $(date -u -d "@$from" +%FT%TZ) to $(date -u -d "@$until" +%FT%TZ). Nothing was changed: set the clock, and underlay.ntp.servers in the site file where nothing keeps it right"
}
`;
