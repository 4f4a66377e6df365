import { bash } from '../../nodes/bash';

/**
 * The side of a control-plane node that stays, for a node that goes. Each word is one run: drain, remove-member or forget.
 * All of them take what an interrupted run left as it is.
 */
export const TAKE_LEAVE = bash`
# node_known: sets KNOWN to the name of the Node, or to nothing.
node_known() {
  KNOWN=$(admin_kubectl get node "$NODE" --ignore-not-found -o name) ||
    refuse "the API server does not say whether it knows $NODE; kubectl's message is above"
}

drain() {
  api_wait
  node_known
  if [ -z "$KNOWN" ]; then
    step "the cluster does not know $NODE: nothing runs there"
    return
  fi
  # What somebody else has cordoned stays so, should the node become active again.
  [ "$(admin_kubectl get node "$NODE" -o 'jsonpath={.spec.unschedulable}')" = true ] ||
    admin_kubectl annotate node "$NODE" --overwrite "$LEAVING_ANNOTATION=cordoned" >&2 || refuse "$NODE could not be marked; kubectl's message is above"
  drain_node "$DRAIN_SECONDS"
}

# member_id: sets MEMBER; empty where etcd has no such member. One that never started has no name, only its place.
member_id() {
  local list id name peers url
  list=$(etcdctl_here 60 member list --write-out simple) || return 1
  MEMBER=''
  while IFS=, read -r id _ name peers _; do
    for url in "\${PEER_URLS[@]}"; do
      if [ "\${name# }" = "$NODE" ] || { [ -z "\${name# }" ] && [ "\${peers# }" = "$url" ]; }; then MEMBER=$id; fi
    done
  done <<<"$list"
}

# etcd refuses while another member is not well: that can pass, and a member that is gone is no failure.
member_gone() {
  member_id || return 1
  [ -z "$MEMBER" ] || etcdctl_here 60 member remove "$MEMBER"
}

remove_member() {
  wait_until "$LIMIT_SECONDS" 'etcd says who its members are' member_id || refuse "etcd on this machine does not answer: $(member_id 2>&1)"
  [ -n "$MEMBER" ] || return 0
  step "etcd goes on without $NODE"
  audit "etcd member $NODE" "$MEMBER" removed
  wait_until "$LIMIT_SECONDS" "etcd lets $NODE go" member_gone || refuse "etcd does not let $NODE go: $(member_gone 2>&1)"
}

forget() {
  api_wait
  node_known
  if [ -n "$KNOWN" ]; then
    step "removing the Node $NODE"
    audit "Node $NODE" 'of this cluster' removed
    admin_kubectl delete node "$NODE" --ignore-not-found >&2 || refuse "the Node $NODE could not be removed; kubectl's message is above"
  fi
  rm -f "$STATE_FOLDER/taints-$NODE"
}

main() {
  case $ACTION in
    drain) drain ;;
    remove-member) remove_member ;;
    forget) forget ;;
  esac
  finish
}
`;

/**
 * The side of the node that goes, once nothing runs there and etcd goes on without it: kubelet has neither credentials nor
 * a configuration to start with, so it cannot register again. Programs, containerd and the CNI configuration stay: a machine that
 * becomes active joins as a new one does. What kube-proxy wrote stays until the machine restarts.
 */
export const RESET = bash`
main() {
  local path unit
  lock "$LIMIT_SECONDS"
  # The virtual address goes to another node before the API server of this one stops.
  for unit in "\${UNITS[@]}"; do
    [ ! -e "/etc/systemd/system/$unit" ] || systemctl --quiet disable --now "$unit" ||
      refuse "$unit cannot be stopped; the message of systemctl is above"
  done
  if [ -e /etc/kubernetes ] || [ -e /var/lib/kubelet/config.yaml ] || [ -d "$ETCD_FOLDER/member" ]; then
    step 'the node is taken apart'
    audit "node $NODE" 'of a cluster' 'taken apart'
    # etcd goes on without this member already; kubeadm would ask it once more, and wait for an answer.
    run_kubeadm reset --force --cri-socket "$CRI_SOCKET" --skip-phases remove-etcd-member ||
      refuse 'kubeadm reset failed; its last words are above. The next run begins it again'
    rm -rf "$ETCD_FOLDER/member" /etc/kubernetes /var/lib/kubelet/pki
  fi
  for path in /etc/kubernetes /var/lib/kubelet/config.yaml "$ETCD_FOLDER/member"; do
    [ ! -e "$path" ] || problem "$path" removed 'still there' 'it could not be removed: see who uses it with fuser -m'
  done
  # Last: with it goes the mark that this node is one of a cluster.
  [ "\${#PROBLEMS[@]}" -gt 0 ] || rm -rf "$STATE_FOLDER"
  finish
}
`;
