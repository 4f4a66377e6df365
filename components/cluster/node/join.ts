import { bash } from '../../nodes/bash';

/**
 * The side of the node that joins. Without a token it looks, and changes nothing of a machine that is no member yet.
 *
 * What an interrupted join left is taken away before the next one: credentials that the API server does not know. A
 * worker has nothing else of value, and its containers are left alone, so nothing is reset. Nor is a control-plane node:
 * kubeadm takes up a member of etcd that it finds in the cluster, and its data are that member's.
 */
export const JOIN = bash`
# own_node: what the API server says to this node's own credentials: member, stranger, or nothing that can be trusted.
own_node() {
  local said
  said=$(kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout 60s get node "$NODE" -o name 2>&1) && { MEMBERSHIP=member; return; }
  case $said in
    *NotFound* | *Unauthorized* | *'the server has asked for the client to provide credentials'* | *'unable to read client-cert'* | *'certificate has expired'*) MEMBERSHIP=stranger ;;
    *) MEMBERSHIP=unknown SAID=$said && return 1 ;;
  esac
}

# What a member trusts; one that joins is told by the cluster. Asked with an authority that has expired, it would know nobody.
trust() {
  [ -s /etc/kubernetes/kubelet.conf ] && [ -s /var/lib/kubelet/config.yaml ] || return 0
  local file=/etc/kubernetes/pki/ca.crt found
  refuse_other_authority "$file" "$CA_CERTIFICATE"
  slurp found "$file"
  [ "$found" = "$CA_CERTIFICATE" ] || refuse_wrong_clock
  write_file "$file" 0644 "$CA_CERTIFICATE" authorities
  kubeconfigs_trust
}

# membership: a member whose Node somebody deleted registers again when kubelet starts.
membership() {
  MEMBERSHIP=stranger
  # The Node of a control-plane node is there before its etcd and its API server are.
  [ "$PART" = join-worker ] || [ -e "$INITIALISED" ] || return 0
  [ -s /etc/kubernetes/kubelet.conf ] && [ -s /var/lib/kubelet/config.yaml ] || return 0
  wait_for_answer
  [ "$MEMBERSHIP" = stranger ] && [ -z "$TOKEN" ] && systemctl --quiet is-active kubelet.service || return 0
  step "the cluster does not know $NODE: kubelet is restarted, which registers it again"
  systemctl restart kubelet.service >&2
  wait_until 60 "the Node $NODE is registered" is_member
}
is_member() { own_node && [ "$MEMBERSHIP" = member ]; }
wait_for_answer() {
  local begin=$SECONDS
  until own_node; do
    [ $((SECONDS - begin)) -lt "$LIMIT_SECONDS" ] ||
      refuse "this node is a member of a cluster whose API server ($ENDPOINT) does not answer it: $SAID"
    step "waiting until $ENDPOINT answers ($((SECONDS - begin)) s of $LIMIT_SECONDS s)"
    sleep 5
  done
}

join() {
  local file=/run/sitewright/join.yaml
  local -a ignored=()
  if [ "$PART" != join-worker ] && compgen -G '/etc/kubernetes/manifests/*.yaml' >/dev/null; then
    step 'an earlier kubeadm join did not end: it is taken up again'
    ignored=("$TAKEN_UP")
  fi
  systemctl stop kubelet.service >&2
  rm -f /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf /var/lib/kubelet/pki/kubelet-client-*
  [ "$PART" != join-worker ] || rm -f /etc/kubernetes/pki/ca.crt
  mkdir -p "\${file%/*}" "$STATE_FOLDER"
  rm -f "$STATE_FOLDER/kubelet-config"
  # shellcheck disable=SC2064 # the path of now
  trap "rm -f '$file'" EXIT
  (umask 077 && printf '%s' "\${JOIN_CONFIG//"$TOKEN_PLACE"/"$TOKEN"}" >"$file")
  step 'kubeadm join'
  run_kubeadm join --config "$file" "\${ignored[@]}" || refuse 'kubeadm join failed; its last words are above. The next run begins it again'
  rm -f "$file"
  wait_until "$LIMIT_SECONDS" "the Node $NODE is registered" is_member ||
    refuse "kubeadm join ended, and the cluster does not know $NODE: see journalctl -u kubelet on this machine"
  [ "$PART" = join-worker ] || control_plane_joined
}

main() {
  lock "$LIMIT_SECONDS"
  trust
  membership
  if [ "$MEMBERSHIP" = stranger ] && [ -n "$TOKEN" ]; then
    endpoint_apply
    join
  fi
  if [ "$MEMBERSHIP" = member ]; then
    endpoint_apply
    [ -d "$STATE_FOLDER" ] || mkdir -p "$STATE_FOLDER"
    settle authorities restart_kubelet
    systemctl --quiet is-active kubelet.service || restart_kubelet
    kubelet_config_update
  fi
  finish
  local etcd=kept
  [ "$PART" = join-worker ] || [ -d /var/lib/etcd/member ] || etcd=empty
  printf '{"membership": "%s", "etcd": "%s"}\n' "$MEMBERSHIP" "$etcd"
}
`;

/** The side of the first control-plane node. Each word is one run: invite, admit or dismiss. */
export const INVITE = bash`
# A token lives for one join: what an earlier one left goes, by its id, which is no secret.
dismiss() {
  local token description
  while read -r token description; do
    [ "$description" = "$TOKEN_DESCRIPTION" ] || continue
    kubeadm token delete "\${token%%.*}" >&2
  done < <(kubeadm token list -o 'jsonpath={.token} {.description}{"\n"}' 2>/dev/null)
}

# The etcd of a machine that was made anew knows nothing of what its member has agreed to: under the old identity it would
# take others down with it.
remove_lost_member() {
  [ -n "$LOST_MEMBER" ] || return 0
  local list id name
  list=$(etcdctl_here 60 member list --write-out simple) || refuse 'etcd on this machine does not say who its members are; its message is above'
  while IFS=, read -r id _ name _; do
    [ "\${name# }" = "$LOST_MEMBER" ] || continue
    step "etcd lets go the member that $LOST_MEMBER was before"
    audit "etcd member $LOST_MEMBER" "$id" removed
    etcdctl_here 60 member remove "$id" >&2 || refuse "etcd does not let $LOST_MEMBER go; its message is above"
  done <<<"$list"
}

# The machine of this name has no credentials: a Node of that name is an earlier machine's, and would keep kubeadm from joining.
invite() {
  api_wait
  dismiss
  remove_lost_member
  if admin_kubectl get node "$NODE" >/dev/null 2>&1; then
    step "removing the Node of the machine that $NODE was before"
    audit "Node $NODE" 'of an earlier machine' removed
    admin_kubectl delete node "$NODE" >&2
  fi
  audit "token for $NODE" '' 'valid for 15 minutes'
  kubeadm token create --ttl 15m --description "$TOKEN_DESCRIPTION" || refuse 'kubeadm could not make a token; its message is above'
}

admit() {
  api_wait
  # Of a join whose engine was killed.
  dismiss
  node_object_apply
  wait_kubelet_reached
  wait_node_ready
  finish
}

main() { "$ACTION"; }
`;
