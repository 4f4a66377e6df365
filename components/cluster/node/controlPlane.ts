import { bash } from '../../nodes/bash';

/** What the API server reads when it starts and everybody may know. */
export const STATIC_POD_FILES = bash`
static_pod_files() {
  local index
  write_file "$AUDIT_POLICY_FILE" 0600 "$AUDIT_POLICY" kube-apiserver
  if [ -n "$ADMISSION_CONFIG" ]; then
    write_file "$ADMISSION_FILE" 0600 "$ADMISSION_CONFIG" kube-apiserver
  elif [ -e "$ADMISSION_FILE" ]; then
    audit "$ADMISSION_FILE" present removed
    rm -f "$ADMISSION_FILE"
  fi
  for index in "\${!PATCH_FILES[@]}"; do write_file "\${PATCH_FILES[index]}" 0600 "\${PATCHES[index]}"; done
}
`;

/**
 * A control-plane node: its files and its share of the virtual address, and on the first one the cluster. Once it belongs
 * to a cluster, what has changed is taken over; the others come in by their join.
 *
 * `kubeadm init` is resumable as it is: each phase takes what it finds (certificates, kubeconfigs, manifests, objects) and
 * adds what is missing; its preflight checks alone refuse what an earlier run left. So an interrupted run is run again
 * without those checks, and nothing is ever reset: an etcd that has started may hold the only copy of a cluster, also after
 * the root disk was made anew.
 */
export const CONTROL_PLANE = bash`
# What cannot change under a cluster that lives, found before anything is written.
refuse_other_identity() {
  [ -e "$INITIALISED" ] || return 0
  local pki=/etc/kubernetes/pki
  refuse_other_authority "$pki/ca.crt" "$CA_CERTIFICATE"
  refuse_other_authority "$pki/etcd/ca.crt" "$ETCD_CA_CERTIFICATE"
  refuse_other_authority "$pki/front-proxy-ca.crt" "$FRONT_PROXY_CA_CERTIFICATE"
}

refuse_expired() {
  expired_problem
  [ -z "$PROBLEM" ] || refuse "$PROBLEM"
}

# A machine that was installed anew by hand looks as one that is new; the API servers of its peers tell the difference. With
# its host key unchanged the engine does not know either.
refuse_second_cluster() {
  [ "$PART" = init ] && [ ! -e "$INITIALISED" ] || return 0
  local peer
  for peer in "\${PEER_APIS[@]}"; do
    is_of_cluster 20 <(printf '%s' "$CA_CERTIFICATE") "$peer" || continue
    refuse "the API of this cluster answers on $peer, and this machine, which comes first in the site file, is no member of it: kubeadm init would begin a second cluster here. Nothing was changed: put the machine of $peer before this one in machines.nodes, and this one joins"
  done
}

control_plane_files() {
  step 'certificate authorities and keys'
  local pki=/etc/kubernetes/pki changed=''
  # Before, nothing runs that would have to take it over.
  [ ! -e "$INITIALISED" ] || changed=authorities
  write_file "$pki/ca.crt" 0644 "$CA_CERTIFICATE" "$changed"
  write_secret "$pki/ca.key" "$CA_KEY"
  write_file "$pki/etcd/ca.crt" 0644 "$ETCD_CA_CERTIFICATE" "$changed"
  write_secret "$pki/etcd/ca.key" "$ETCD_CA_KEY"
  write_file "$pki/front-proxy-ca.crt" 0644 "$FRONT_PROXY_CA_CERTIFICATE" "$changed"
  write_secret "$pki/front-proxy-ca.key" "$FRONT_PROXY_CA_KEY"
  write_file "$pki/sa.pub" 0644 "$SERVICE_ACCOUNT_PUBLIC_KEY"
  write_secret "$pki/sa.key" "$SERVICE_ACCOUNT_KEY"
  [ -z "$changed" ] || kubeconfigs_trust

  step 'configuration of the control plane'
  write_secret "$ENCRYPTION_FILE" "$ENCRYPTION_CONFIG" kube-apiserver
  static_pod_files
  write_file "$KUBEADM_FILE" 0600 "$KUBEADM_CONFIG"
  mkdir -p "$AUDIT_LOG_FOLDER"
  chmod 0700 "$AUDIT_LOG_FOLDER" "\${ENCRYPTION_FILE%/*}" "\${KUBEADM_FILE%/*}" "$pki"
}

node_registered() { admin_kubectl get node "$NODE"; }
kubeadm_finished() {
  api_answers && node_registered &&
    admin_kubectl -n kube-system get configmap kubeadm-config kubelet-config &&
    admin_kubectl -n kube-public get configmap cluster-info
}
api_problem() {
  ! api_here >/dev/null 2>&1 ||
    refuse "the API server of this node answers on $LOCAL_API, and what $ENDPOINT_NAME stands for does not lead to it: look at the virtual address or the load balancer"
  refuse "the API server of this node does not answer: see 'crictl ps -a', 'crictl logs', and journalctl -u kubelet on this machine"
}

take_up_init() {
  local path
  step 'an earlier kubeadm init did not end: it is taken up again'
  # What a machine that lost its power wrote last can be empty.
  for path in /etc/kubernetes/*.conf /etc/kubernetes/manifests/*.yaml /etc/kubernetes/pki/*.* /etc/kubernetes/pki/etcd/*.*; do
    [ ! -f "$path" ] || [ -s "$path" ] || rm -f "$path"
  done
  INIT_FLAGS=("$TAKEN_UP")
}
initialise() {
  local attempt
  local -a INIT_FLAGS=()
  if compgen -G '/etc/kubernetes/manifests/*.yaml' >/dev/null || [ -e /etc/kubernetes/kubelet.conf ] || [ -d "$ETCD_FOLDER/member" ]; then
    take_up_init
  fi
  # Some calls of kubeadm end after 10 s, which no setting of its own raises. A busy machine can be slower than that at
  # the first start of everything: where its API server answers after all, init is taken up at once.
  for attempt in 1 2 3; do
    step 'kubeadm init'
    # The token that every init makes is for joins, and each join of the kit has its own.
    ! run_kubeadm init --config "$KUBEADM_FILE" --skip-phases=addon,show-join-command --skip-token-print "\${INIT_FLAGS[@]}" || break
    if [ "$attempt" -eq 3 ] || [ ! -s /etc/kubernetes/manifests/kube-apiserver.yaml ] ||
      ! wait_until "$LIMIT_SECONDS" 'the API server answers' api_answers; then
      refuse 'kubeadm init failed; its last words are above. The next run takes it up where it stopped'
    fi
    take_up_init
  done
  settled kube-apiserver
  wait_until "$LIMIT_SECONDS" 'the new cluster answers' kubeadm_finished || api_problem
  admin_kubectl -n kube-system delete secrets --field-selector type=bootstrap.kubernetes.io/token >&2
  printf '%s\n' "$KUBERNETES_VERSION" >"$INITIALISED.new" && mv -f "$INITIALISED.new" "$INITIALISED"
}

main() {
  lock "$LIMIT_SECONDS"
  refuse_wrong_clock
  refuse_other_identity
  refuse_expired
  refuse_second_cluster
  [ ! -e "$RESTORE_FOLDER/id" ] ||
    refuse "a restore of etcd on this machine is not over: run the same 'sitewright etcd restore' again, which goes on where it was"
  mkdir -p "$STATE_FOLDER"
  etcd_disk_apply
  control_plane_files
  kubelet_certificates_apply
  kubeadm config validate --config "$KUBEADM_FILE" >&2 || refuse "kubeadm does not take $KUBEADM_FILE; its message is above"
  if [ -e "$INITIALISED" ]; then
    systemctl --quiet is-active kubelet.service || systemctl start kubelet.service >&2
    # Everything below asks the API by this name: a line that somebody took away comes back first.
    getent hosts "$ENDPOINT_NAME" >/dev/null || endpoint_apply
    # Before the API is asked: it may not answer because the authority of before has expired.
    authorities_take_over
    api_here >/dev/null 2>&1 || repair_control_plane
    wait_until "$LIMIT_SECONDS" 'the API server of this node answers' api_here || api_problem
    # The virtual address first: it may be what the cluster's name stands for already.
    ! port_is_shared || vip_apply
    control_plane_update
    vip_apply
    endpoint_apply
    kubelet_config_update
    [ "$PART" != init ] || cluster_info_trust
  else
    vip_apply
    # What the join finds in place, and remembers as applied when it has ended.
    printf '%s %s' "$SERVING_CERTIFICATE_SUM" "$CONTROL_PLANE_SUM" >"$STATE_FOLDER/joining"
    if [ "$PART" = init ]; then
      endpoint_apply
      initialise
      remember_applied
      kubelet_config_update
    fi
  fi
  if [ "$PART" = init ]; then
    wait_until "$LIMIT_SECONDS" "the Node $NODE is there" node_registered || api_problem
    node_object_apply
    wait_kubelet_reached
    wait_node_ready
  fi
  snapshot_timer_apply
  finish
  printf '{"schemaVersion": 1, "node": "%s", "kubernetes": "%s"}\n' "$NODE" "$KUBERNETES_VERSION"
}
`;
