import { bash } from '../../nodes/bash';

/**
 * Certificate authorities on a machine that is a member. One that is renewed keeps its name and its key: what it has signed
 * stays valid, so that machines may take it over one after another. Another key would be trusted by nobody.
 */
export const AUTHORITIES = bash`
authority() { openssl x509 -noout -subject -pubkey <<<"$1"; }

# refuse_other_authority FILE CERTIFICATE: the one of the file may be older, and no other.
refuse_other_authority() {
  local found one other
  slurp found "$1"
  [ -n "$found" ] && [ "$found" != "$2" ] || return 0
  command -v openssl >/dev/null ||
    refuse "$1 is not as in this site's secrets, and openssl, which tells whether it is the same authority renewed, is not on this machine: install it and run again"
  ! one=$(authority "$found") || ! other=$(authority "$2") || [ "$one" != "$other" ] || return 0
  refuse "$1 is not the certificate authority of this site's secrets: it has another name or key. A member takes its own authority renewed, and no other. Nothing was changed: put the configuration value sitewright:clusterPki back, which earlier versions of the site's Pulumi file have, or take a machine of another cluster out of that one first"
}

refuse_wrong_clock() {
  clock_problem "$CA_CERTIFICATE" ||
    refuse 'openssl does not read the certificate authority of this site: put the configuration value sitewright:clusterPki back'
  [ -z "$PROBLEM" ] || refuse "$PROBLEM"
}

# with_authority: what comes in, with the authority in the place of the one that a kubeconfig in it holds.
with_authority() {
  local data
  data=$(base64 -w 0 < <(printf '%s' "$CA_CERTIFICATE"))
  sed "s#certificate-authority-data: [A-Za-z0-9+/=]*#certificate-authority-data: $data#"
}

kubeconfigs_trust() {
  local path text
  for path in /etc/kubernetes/{admin,super-admin,controller-manager,scheduler,kubelet}.conf; do
    [ -s "$path" ] || continue
    # The dot keeps the line ends.
    text=$(with_authority <"$path" && printf .) || refuse "$path cannot be read"
    write_secret "$path" "\${text%.}" authorities
  done
}
`;

/** Of a control-plane node. */
export const AUTHORITIES_TAKE_OVER = bash`
# Most of what runs has read the authority at its start. What does not run now reads it when it starts.
authorities_take_over() {
  local part id
  is_pending authorities || return 0
  step 'the control plane takes over its renewed authorities'
  for part in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    id=$(running "$part")
    [ -n "$id" ] || continue
    restart_static_pod "$part" "$id"
    # It asks etcd too: the next part, and the next node, lose neither.
    [ "$part" != kube-apiserver ] || wait_until "$LIMIT_SECONDS" 'the API server of this node answers' api_here || api_problem
  done
  [ -z "$VIP_ADDRESS" ] || pending "$HAPROXY_UNIT"
  restart_kubelet
  settled authorities
}

# What a machine that joins trusts. The controller manager signs it again by itself.
cluster_info_trust() {
  local found fresh
  found=$(admin_kubectl -n kube-public get configmap cluster-info --ignore-not-found -o json) ||
    refuse 'the API server does not give the ConfigMap cluster-info; its message is above'
  fresh=$(with_authority <<<"$found")
  [ "$fresh" != "$found" ] || return 0
  audit 'ConfigMap cluster-info' 'another authority' 'the one of this site'
  admin_kubectl replace -f - <<<"$fresh" >&2 || refuse 'the ConfigMap cluster-info could not be written; the message of kubectl is above'
}
`;
