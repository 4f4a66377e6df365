import { bash } from '../../nodes/bash';

/**
 * Changes of a live cluster. What was applied last is remembered as two checksums, of the plan and of the files that came
 * of it: a changed plan and a file that was edited by hand are both put right, and otherwise nothing is touched.
 */
export const KUBELET_UPDATE = bash`
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
  [ "$applied" != "$KUBELET_CONFIG_SUM $sum" ] || return 0
  # The first run after init or join, which wrote the file.
  if [ -n "$applied" ]; then
    step 'kubelet takes over its changed configuration'
    run_kubeadm upgrade node phase kubelet-config || refuse 'kubeadm could not write the configuration of kubelet; its last words are above'
    restart_kubelet
    sum_of sum /var/lib/kubelet/config.yaml
  fi
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

# pod_hash COMPONENT: which manifest the pod that runs was made of, as kubelet tells.
pod_hash() {
  admin_kubectl -n kube-system get pod "$1-$NODE" -o 'jsonpath={.metadata.annotations.kubernetes\.io/config\.hash}' 2>/dev/null
}
pod_is_new() {
  local now
  now=$(pod_hash "$1") && [ -n "$now" ] && [ "$now" != "$2" ] &&
    [ "$(admin_kubectl -n kube-system get pod "$1-$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

control_plane_update() {
  local applied sum path component
  local -A before=() manifest=()
  # kubelet's part of the upload goes out first: every node reads it after this script.
  slurp applied "$STATE_FOLDER/kubelet-config"
  if [ "\${applied%% *}" != "$KUBELET_CONFIG_SUM" ]; then
    run_kubeadm init phase upload-config kubelet --config "$KUBEADM_FILE" || refuse 'kubeadm could not upload the configuration of kubelet; its last words are above'
  fi

  slurp applied "$STATE_FOLDER/control-plane"
  sum_of sum "\${MANIFESTS[@]}"
  if [ "$applied" != "$CONTROL_PLANE_SUM $sum" ]; then
    step 'the control plane takes over its changed configuration'
    for path in "\${MANIFESTS[@]}"; do
      component=\${path##*/} component=\${component%.yaml}
      before[$component]=$(pod_hash "$component")
      sum_of "manifest[$component]" "$path"
    done
    run_kubeadm init phase upload-config kubeadm --config "$KUBEADM_FILE" || refuse 'kubeadm could not upload its configuration; its last words are above'
    serving_certificate_update
    for component in 'etcd local' 'control-plane all'; do
      # shellcheck disable=SC2086 # two words
      run_kubeadm init phase $component --config "$KUBEADM_FILE" || refuse 'kubeadm could not write the static pods; its last words are above'
    done
    for path in "\${MANIFESTS[@]}"; do
      component=\${path##*/} component=\${component%.yaml}
      sum_of sum "$path"
      [ "$sum" != "\${manifest[$component]}" ] || continue
      [ "$component" != kube-apiserver ] || settled kube-apiserver
      wait_until "$LIMIT_SECONDS" "$component runs with its new configuration" pod_is_new "$component" "\${before[$component]}" ||
        refuse "$component does not run with its new configuration: see 'crictl ps -a' and 'crictl logs' on this machine, and correct the site file"
    done
    remember_applied
  fi
  settle kube-apiserver restart_api_server
  wait_until "$LIMIT_SECONDS" 'the API server answers' api_answers || api_problem
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
  id=$(crictl ps --quiet --name '^kube-apiserver$')
  [ -z "$id" ] || crictl stop "$id"
}
`;
