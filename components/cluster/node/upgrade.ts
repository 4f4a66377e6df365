import { bash } from '../../nodes/bash';

/**
 * The side of a node that moves to another version of Kubernetes. Each word is one run, and each can be run again after a
 * cut at any point: look, prepare, move, finish. Between move and finish the runtime script of the node brings the programs.
 */
export const UPGRADE_NODE = bash`
# While it is there the node is on its way: "VERSION uncordon", or "VERSION stay" for one that somebody else has cordoned.
MARK="$STATE_FOLDER/upgrading"

# look: one JSON object, and nothing is changed. A script of a killed run may still be at work: it ends first.
look() {
  local text path mark='' etcd='' data=false member=false initialised=false
  local -a versions=()
  [ ! -s /etc/kubernetes/kubelet.conf ] || [ ! -s /var/lib/kubelet/config.yaml ] || member=true
  [ ! -e "$STATE_FOLDER/initialised" ] || initialised=true
  text=$("$PROGRAM_FOLDER/kubelet" --version 2>/dev/null)
  [[ ! $text =~ v([0-9.]+) ]] || versions+=("kubelet \${BASH_REMATCH[1]}")
  for path in /etc/kubernetes/manifests/kube-*.yaml; do
    slurp text "$path"
    [[ ! $text =~ image:\ [^[:space:]]+:v([0-9.]+) ]] || {
      path=\${path##*/}
      versions+=("\${path%.yaml} \${BASH_REMATCH[1]}")
    }
  done
  slurp text /etc/kubernetes/manifests/etcd.yaml
  [[ ! $text =~ image:\ [^[:space:]]+:v?([0-9]+\.[0-9]+\.[0-9]+) ]] || etcd=\${BASH_REMATCH[1]}
  # On a machine that was made anew its disk of etcd is not mounted yet.
  if [ -d "$ETCD_FOLDER/member" ] || [ -n "$(blkid -L "$ETCD_LABEL")" ]; then data=true; fi
  slurp mark "$MARK"
  text=''
  [ "\${#versions[@]}" -eq 0 ] || printf -v text ', "%s"' "\${versions[@]}"
  printf '{"member": %s, "initialised": %s, "mark": "%s", "versions": [%s], "etcd": "%s", "etcdData": %s}\n' \
    "$member" "$initialised" "\${mark%$'\n'}" "\${text#, }" "$etcd" "$data"
}

# prepare: what takes long and disturbs nobody comes before the node is drained.
prepare() {
  local mark
  slurp mark "$MARK"
  if [ "$mark" != "$KUBERNETES_VERSION $AFTERWARDS" ]; then
    audit "Kubernetes of $NODE" '' "on the way to $KUBERNETES_VERSION"
    printf '%s' "$KUBERNETES_VERSION $AFTERWARDS" >"$MARK.new" && mv -f "$MARK.new" "$MARK"
  fi
  programs_apply
  images_apply
  finish
}

# move: everything of kubeadm. Addons are the kit's own objects, and its ClusterConfiguration keeps kubeadm away from them.
move() {
  local sum file="$STATE_FOLDER/upgrade.yaml"
  write_file "$file" 0600 "$UPGRADE_CONFIG"
  if [ "$PART" = init ]; then
    # The new version starts with what is planned for it: flags and images of the old one may be gone.
    static_pod_files
    write_file "$KUBEADM_FILE" 0600 "$KUBEADM_CONFIG"
    run_kubeadm init phase upload-config all --config "$KUBEADM_FILE" || refuse 'kubeadm could not upload its configuration; its last words are above'
    step "kubeadm upgrade apply v$KUBERNETES_VERSION"
    run_kubeadm upgrade apply --yes --config "$file" || refuse 'kubeadm upgrade apply failed; its last words are above. kubeadm puts back what does not start'
  else
    [ "$PART" = join-worker ] || static_pod_files
    step 'kubeadm upgrade node'
    run_kubeadm upgrade node --config "$file" || refuse 'kubeadm upgrade node failed; its last words are above'
  fi
  # Written by kubeadm just now, of the planned one.
  sum_of sum /var/lib/kubelet/config.yaml
  remember kubelet-config "$KUBELET_CONFIG_SUM $sum"
  finish
}

# finish_upgrade: the cluster has seen the node as it is to be.
finish_upgrade() {
  wait_until "$LIMIT_SECONDS" 'kubelet is healthy' kubelet_healthy || refuse 'kubelet is not healthy: see journalctl -u kubelet on this machine'
  [ ! -e "$MARK" ] || audit "Kubernetes of $NODE" '' "$KUBERNETES_VERSION"
  rm -f "$MARK"
}

main() {
  lock "$LIMIT_SECONDS"
  [ "$ACTION" = look ] || mkdir -p "$STATE_FOLDER"
  "$ACTION"
}
`;

/** The side of the first control-plane node. Each word is one run: survey, snapshot, drain, admit, gate. */
export const UPGRADE_LEAD = bash`
require_api() {
  wait_until "$LIMIT_SECONDS" 'the API server answers' api_answers ||
    refuse "the API server does not answer, and an upgrade needs it: see 'crictl ps -a' and journalctl -u kubelet on this machine. With the version that runs in the site file 'up' puts the control plane right"
}

# survey: name, version of kubelet, Ready and unschedulable of every Node, one line each.
survey() {
  require_api
  admin_kubectl get nodes -o 'jsonpath={range .items[*]}{.metadata.name}{"\t"}{.status.nodeInfo.kubeletVersion}{"\t"}{.status.conditions[?(@.type=="Ready")].status}{"\t"}{.spec.unschedulable}{"\n"}{end}' ||
    refuse 'the API server does not list the Nodes; the message of kubectl is above'
}

# snapshot: a way back that the upgrade itself does not have.
snapshot() {
  local now file folder="$SNAPSHOT_FOLDER"
  local -a snapshots
  printf -v now '%(%Y%m%dT%H%M%SZ)T' -1
  file="$folder/$now-before-$KUBERNETES_VERSION.db"
  step "snapshot of etcd: $file"
  mkdir -p "$folder" && chmod 0700 "$folder"
  rm -f "$folder"/*.partial*
  audit "$file" '' 'snapshot of etcd'
  (umask 077 && etcdctl_here "$LIMIT_SECONDS" snapshot save "$file.partial" && etcdutl snapshot status "$file.partial") >&2 ||
    refuse 'etcd gave no snapshot; its message is above. Nothing was upgraded'
  mv -f "$file.partial" "$file"
  # Three are kept. Their names begin with the time.
  snapshots=("$folder"/*.db)
  while [ "\${#snapshots[@]}" -gt 3 ]; do
    rm -f "\${snapshots[0]}"
    snapshots=("\${snapshots[@]:1}")
  done
}

drain() {
  require_api
  drain_node "$DRAIN_LIMIT_SECONDS"
}

runs_version() {
  [ "$(admin_kubectl get node "$NODE" -o 'jsonpath={.status.nodeInfo.kubeletVersion}')" = "v$KUBERNETES_VERSION" ] && node_ready
}
admit() {
  wait_until "$LIMIT_SECONDS" "the Node $NODE is Ready with v$KUBERNETES_VERSION" runs_version ||
    refuse "the Node $NODE is not Ready with v$KUBERNETES_VERSION: $(admin_kubectl get node "$NODE" -o 'jsonpath={.status.nodeInfo.kubeletVersion}, {.status.conditions[?(@.type=="Ready")].message}'); see journalctl -u kubelet on it"
  [ "$AFTERWARDS" != uncordon ] || uncordon_node
}

# cluster_healthy: what is not sets MISSING. Nodes that are being moved (BUSY) do not count.
cluster_healthy() {
  local name status not_ready='' text ready wanted
  local -A found=()
  MISSING='the API server does not answer'
  text=$(admin_kubectl get nodes -o 'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}') && api_answers || return 1
  while read -r name status; do found["$name"]=$status; done <<<"$text"
  for name in "\${MEMBERS[@]}"; do
    [[ " \${BUSY[*]} " = *" $name "* ]] || [ "\${found["$name"]-}" = True ] || not_ready+="\${not_ready:+, }$name"
  done
  MISSING="not Ready: $not_ready"
  [ -z "$not_ready" ] || return 1
  MISSING='pods of kube-proxy or CoreDNS in kube-system are not ready'
  read -r ready wanted < <(admin_kubectl -n kube-system get daemonset kube-proxy --ignore-not-found -o 'jsonpath={.status.numberReady} {.status.desiredNumberScheduled}{"\n"}')
  [ $((\${ready:-0} + \${#BUSY[@]})) -ge "\${wanted:-0}" ] || return 1
  read -r wanted < <(admin_kubectl -n kube-system get deployment coredns --ignore-not-found -o 'jsonpath={.status.unavailableReplicas}{"\n"}')
  [ "\${wanted:-0}" -le "\${#BUSY[@]}" ]
}
gate() {
  wait_until "$LIMIT_SECONDS" 'the cluster is healthy' cluster_healthy ||
    refuse "the cluster is not healthy after $NODE: $MISSING; the upgrade stops here"
}

main() { "$ACTION"; }
`;
