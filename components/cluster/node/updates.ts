import { bash } from '../../nodes/bash';
import { RESOLVER_STATE } from './resolver';

/**
 * Changes of a live cluster. What was applied last is remembered as two checksums, of the plan and of the files that came
 * of it: a changed plan and a file that was edited by hand are both put right, and otherwise nothing is touched.
 */
export const KUBELET_UPDATE =
  RESOLVER_STATE +
  bash`
# sum_of VARIABLE FILE...
sum_of() {
  local checked
  checked=$(cat "\${@:2}" 2>/dev/null | sha256sum)
  printf -v "$1" '%s' "\${checked%% *}"
}

remember() { printf '%s' "$2" >"$STATE_FOLDER/$1.new" && mv -f "$STATE_FOLDER/$1.new" "$STATE_FOLDER/$1"; }

# kubelet's configuration of the whole cluster is in a ConfigMap; kubeadm makes the file of each node of it.
kubelet_config_update() {
  local applied sum
  slurp applied "$STATE_FOLDER/kubelet-config"
  sum_of sum /var/lib/kubelet/config.yaml
  [ "$applied" != "$KUBELET_CONFIG_SUM $sum" ] || resolver_differs || return 0
  # The first run after init or join, which wrote the file.
  if [ -n "$applied" ]; then
    step 'kubelet takes over its changed configuration'
    run_kubeadm upgrade node phase kubelet-config || refuse 'kubeadm could not write the configuration of kubelet; its last words are above'
    restart_kubelet
    sum_of sum /var/lib/kubelet/config.yaml
  fi
  ! resolver_differs ||
    problem 'resolvConf in /var/lib/kubelet/config.yaml' "$RESOLVER_PLANNED" "$RESOLVER" 'pods have their resolvers of that file: see whether systemd-resolved is as it was when this node joined'
  remember kubelet-config "$KUBELET_CONFIG_SUM $sum"
}

# Without curl, which is not on every node.
kubelet_healthy() {
  local line
  exec 7<>/dev/tcp/127.0.0.1/10248 || return 1
  printf 'GET /healthz HTTP/1.0\r\n\r\n' >&7
  while IFS= read -r line <&7; do :; done
  exec 7>&-
  [ "$line" = ok ]
}

restart_kubelet() {
  systemctl restart kubelet.service >&2
  wait_until "$LIMIT_SECONDS" 'kubelet is healthy' kubelet_healthy ||
    refuse 'kubelet is not healthy: see journalctl -u kubelet; its configuration before this run is below /etc/kubernetes/tmp'
}
`;

export const CONTROL_PLANE_UPDATE = bash`
MANIFESTS=(/etc/kubernetes/manifests/{etcd,kube-apiserver,kube-controller-manager,kube-scheduler}.yaml)

remember_applied() {
  local sum
  sum_of sum "\${MANIFESTS[@]}"
  remember serving-certificate "$SERVING_CERTIFICATE_SUM"
  remember control-plane "$CONTROL_PLANE_SUM $sum"
}

# Its static pods are what the control-plane script of before has planned.
control_plane_joined() {
  wait_until "$LIMIT_SECONDS" 'the API server of this node answers' api_here ||
    refuse "the API server of this node does not answer: see 'crictl ps -a', 'crictl logs', and journalctl -u kubelet on this machine"
  read -r SERVING_CERTIFICATE_SUM CONTROL_PLANE_SUM <"$STATE_FOLDER/joining"
  remember_applied
  printf 'joined\n' >"$INITIALISED.new" && mv -f "$INITIALISED.new" "$INITIALISED"
}

# pod_hash COMPONENT: which manifest the pod that runs was made of, as kubelet tells.
pod_hash() {
  local hash
  hash=$(admin_kubectl -n kube-system get pod "$1-$NODE" -o 'jsonpath={.metadata.annotations.kubernetes\.io/config\.hash}' 2>/dev/null) && [ -n "$hash" ] &&
    printf '%s' "$hash"
}
pod_is_new() {
  local now
  now=$(pod_hash "$1") && [ "$now" != "$2" ] &&
    [ "$(admin_kubectl -n kube-system get pod "$1-$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

control_plane_update() {
  local applied sum path component
  # kubelet's part of the upload goes out first: every node reads it after this script.
  slurp applied "$STATE_FOLDER/kubelet-config"
  if [ "\${applied%% *}" != "$KUBELET_CONFIG_SUM" ]; then
    run_kubeadm init phase upload-config kubelet --config "$KUBEADM_FILE" || refuse 'kubeadm could not upload the configuration of kubelet; its last words are above'
  fi

  slurp applied "$STATE_FOLDER/control-plane"
  sum_of sum "\${MANIFESTS[@]}"
  if [ "$applied" != "$CONTROL_PLANE_SUM $sum" ]; then
    step 'the control plane takes over its changed configuration'
    run_kubeadm init phase upload-config kubeadm --config "$KUBEADM_FILE" || refuse 'kubeadm could not upload its configuration; its last words are above'
    serving_certificate_update
    render_manifests
    for path in "\${MANIFESTS[@]}"; do
      component=\${path##*/} component=\${component%.yaml}
      cmp -s "$RENDERED/$component.yaml" "$path" || static_pod_update "$component" "$path"
    done
    rm -rf "$RENDERED"
    remember_applied
  fi
  settle kube-apiserver restart_api_server
  wait_until "$LIMIT_SECONDS" 'the API server answers' api_answers || api_problem
}

# The static pods as kubeadm would write them, beside those that run: each is then replaced by itself.
render_manifests() {
  local phase said
  RENDERED=/etc/kubernetes/tmp/sitewright
  rm -rf "$RENDERED"
  (umask 077 && mkdir -p "$RENDERED")
  for phase in 'etcd local' 'control-plane all'; do
    # shellcheck disable=SC2086 # two words
    said=$(KUBEADM_INIT_DRYRUN_DIR=$RENDERED kubeadm init phase $phase --dry-run --config "$KUBEADM_FILE" 2>&1 </dev/null) ||
      refuse "kubeadm could not write the static pods: $said"
  done
  keep_etcd_members
}

# Which members an etcd was started among is told by the join that made it. kubeadm's init would say that it begins a
# cluster alone: etcd ignores that while it has data, and without them would be an empty cluster beside the living one.
keep_etcd_members() {
  local running rendered line out=''
  local -a members=()
  slurp running "\${MANIFESTS[0]}"
  slurp rendered "$RENDERED/etcd.yaml"
  while IFS= read -r line; do
    [[ $line != *' --initial-cluster='* && $line != *' --initial-cluster-state='* ]] || members+=("$line")
  done <<<"$running"
  [ "\${#members[@]}" -gt 0 ] || return 0
  while IFS= read -r line; do
    case $line in
      *' --initial-cluster='*) printf -v line '%s\n' "\${members[@]}" && out+=$line ;;
      *' --initial-cluster-state='*) ;;
      *) out+=$line$'\n' ;;
    esac
  done <<<"\${rendered%$'\n'}"
  (umask 077 && printf '%s' "$out" >"$RENDERED/etcd.yaml")
}

# static_pod_update COMPONENT MANIFEST
static_pod_update() {
  local before
  wait_until "$LIMIT_SECONDS" "the API says how $1 runs" pod_hash "$1" || api_problem
  before=$(pod_hash "$1")
  audit "$2" 'another configuration' 'as planned'
  chmod 0600 "$RENDERED/$1.yaml"
  mv -f "$RENDERED/$1.yaml" "$2"
  [ "$1" != kube-apiserver ] || settled kube-apiserver
  wait_until "$LIMIT_SECONDS" "$1 runs with its new configuration" pod_is_new "$1" "$before" ||
    refuse "$1 does not run with its new configuration: see 'crictl ps -a' and 'crictl logs' on this machine, and correct the site file"
  # The next one, here or on another node, only when this node serves again.
  wait_until "$LIMIT_SECONDS" 'the API server of this node answers' api_here || api_problem
}

# Signed again when the names that it is for have changed; the API server reads it anew by itself.
serving_certificate_update() {
  local applied
  slurp applied "$STATE_FOLDER/serving-certificate"
  [ "$applied" != "$SERVING_CERTIFICATE_SUM" ] || return 0
  rm -f /etc/kubernetes/pki/apiserver.crt /etc/kubernetes/pki/apiserver.key
  run_kubeadm init phase certs apiserver --config "$KUBEADM_FILE" || refuse 'kubeadm could not sign the certificate of the API server; its last words are above'
}

# kubelet starts it again at once.
restart_api_server() {
  local id
  id=$(running kube-apiserver)
  [ -z "$id" ] || crictl stop "$id"
}
`;
