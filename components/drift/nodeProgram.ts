import { bash } from '../nodes/bash';

/** The order in which a machine is looked at. */
export const DRIFT_MAIN = bash`
packages_drift() {
  local package
  find_missing_packages
  for package in "\${MISSING_PACKAGES[@]}"; do problem "package $package" installed 'not installed'; done
}

stamp_drift() {
  local stamp='' owner=''
  slurp stamp "$STAMP_FILE"
  [[ ! $stamp =~ \"site\":\ *\"([^\"]*)\" ]] || owner=\${BASH_REMATCH[1]}
  [ "$owner" = "$SITE" ] || problem "$STAMP_FILE" "site $SITE" "\${owner:+site $owner}"
}

network_drift() {
  if ! find_interface; then
    problem 'network interface' "$NIC_PROBLEM" ''
    return
  fi
  network_apply
  network_check
  offloads_apply
  offloads_check
}

# program_version NAME: such as 1.36.1, of whatever the program prints about itself.
program_version() {
  local text
  text=$("$PROGRAM_FOLDER/$@" 2>/dev/null)
  [[ $text =~ [[:space:]]v?([0-9]+\.[0-9]+\.[0-9]+) || $text =~ ^v?([0-9]+\.[0-9]+\.[0-9]+) ]] && FOUND_VERSION=\${BASH_REMATCH[1]} || FOUND_VERSION=''
}

version_drift() {
  local wanted=$1
  shift
  program_version "$@"
  [ "$FOUND_VERSION" = "$wanted" ] || problem "version of $1" "$wanted" "$FOUND_VERSION"
}

unit_drift() {
  local state
  state=$(command systemctl is-active "$1.service" 2>/dev/null)
  [ "$state" = active ] || problem "unit $1" active "\${state:-unknown}"
  [ -e "/etc/systemd/system/multi-user.target.wants/$1.service" ] || problem "unit $1" enabled disabled
}

# remembered_drift NAME WANTED_SUM WHAT FILE...: what was applied last is kept as the checksums of plan and files.
remembered_drift() {
  local name=$1 wanted=$2 what=$3 applied sum
  shift 3
  slurp applied "$STATE_FOLDER/$name"
  [ -n "$applied" ] || return 0
  sum=$(cat "$@" 2>/dev/null | sha256sum)
  [ "\${applied%% *}" = "$wanted" ] || problem "$what" 'as planned' 'of an earlier plan'
  [ "\${applied##* }" = "\${sum%% *}" ] || problem "$what" 'as kubeadm wrote it' 'edited since'
}

# Without curl, which is not on every node.
read_proxy_mode() {
  local line body='' host=\${PROXY_METRICS%:*}
  PROXY_MODE=''
  host=\${host#[} host=\${host%]}
  { exec 8<>"/dev/tcp/$host/\${PROXY_METRICS##*:}"; } 2>/dev/null || return 0
  printf 'GET /proxyMode HTTP/1.0\r\n\r\n' >&8
  while IFS= read -r -t 20 line <&8 || [ -n "$line" ]; do body=$line line=''; done
  exec 8>&-
  PROXY_MODE=\${body%$'\r'}
}

cluster_drift() {
  local index
  PROXY_MODE=''
  [ -n "$KUBERNETES_VERSION" ] || return 0
  step 'Kubernetes'
  ROLE=runtime
  for index in "\${!CLUSTER_FILES[@]}"; do write_file "\${CLUSTER_FILES[index]}" 0644 "\${CLUSTER_CONTENTS[index]}"; done
  version_drift "$KUBERNETES_VERSION" kubelet --version
  version_drift "$KUBERNETES_VERSION" kubeadm version -o short
  version_drift "$CONTAINERD_VERSION" containerd --version
  unit_drift containerd
  unit_drift kubelet
  ROLE=control-plane
  for index in "\${!CONTROL_PLANE_FILES[@]}"; do write_file "\${CONTROL_PLANE_FILES[index]}" 0644 "\${CONTROL_PLANE_CONTENTS[index]}"; done
  ROLE=$CLUSTER_ROLE
  [ -e /etc/kubernetes/kubelet.conf ] || problem 'the cluster' member 'no member'
  remembered_drift kubelet-config "$KUBELET_CONFIG_SUM" /var/lib/kubelet/config.yaml /var/lib/kubelet/config.yaml
  [ ! -e /var/lib/kubelet/config.yaml ] || ! resolver_differs || problem 'resolvConf of kubelet' "$RESOLVER_PLANNED" "$RESOLVER"
  [ -z "$CONTROL_PLANE_SUM" ] || remembered_drift control-plane "$CONTROL_PLANE_SUM" 'static pods of the control plane' \
    /etc/kubernetes/manifests/{etcd,kube-apiserver,kube-controller-manager,kube-scheduler}.yaml
  read_proxy_mode
}

main() {
  local ID='' VERSION_ID='' list mode kernel
  # shellcheck disable=SC1091
  . /etc/os-release
  DISTRIBUTION="$ID $VERSION_ID"
  if [ -e /run/sitewright.lock ]; then
    exec 9</run/sitewright.lock
    flock -sn 9 || refuse 'another script of the kit is at work on this machine: wait until it has ended'
  fi
  step 'what preparation has set'
  packages_drift
  stamp_drift
  ip_snapshot
  write_file "$MODULES_FILE" 0644 "$MODULES_CONTENT"
  modules_check
  write_file "$SYSCTL_FILE" 0644 "$SYSCTL_CONTENT"
  sysctls_check
  swap_apply
  swap_check
  time_apply
  time_check
  journald_apply
  journald_check
  network_drift
  hosts_apply
  cluster_drift
  printf -v list '%s, ' "\${DIFFERENCES_FOUND[@]-}"
  json kernel "$KERNEL"
  json mode "$PROXY_MODE"
  [ -n "$PROXY_MODE" ] || mode=null
  printf '{"differences": [%s], "kernel": %s, "proxyMode": %s}\n' "\${list%, }" "$kernel" "$mode"
}
`;
