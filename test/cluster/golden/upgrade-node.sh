# Moves cp1 to Kubernetes 1.36.1: move. Made by sitewright.
if [ "$EUID" -ne 0 ]; then
  sudo -n bash -s -- "${SSH_CONNECTION-}"
  code=$?
  [ "$code" -eq 0 ] || sudo -n true 2>/dev/null ||
    echo "error: the user $(id -un) must be able to run sudo without a password: add '$(id -un) ALL=(ALL) NOPASSWD:ALL' to a file in /etc/sudoers.d" >&2
  exit "$code"
fi
set -u
umask 022
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TZ=UTC0
CHANGES=0

NODE='cp1'
STATE_FOLDER='/var/lib/sitewright/cluster'
LIMIT_SECONDS='900'
AUDIT_LOG='/var/log/sitewright/audit.log'
RUN_DIR='/run/sitewright'
PART='init'
KUBELET_CONFIG_SUM='d9979ea057d066ba79d2b445e9893e291fd89822d4210099923ad765baab0236'
ACTION='move'
AFTERWARDS='uncordon'
KUBERNETES_VERSION='1.36.1'
PROGRAM_FOLDER='/usr/local/bin'
ETCD_FOLDER='/var/lib/etcd'
ETCD_LABEL='sitewright-etcd'
BUNDLE_ID='b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1'
BUNDLE_DEVICE='/dev/disk/by-id/virtio-bundle'
BUNDLE_FOLDER=''
BUNDLE_MOUNT='/run/sitewright/bundle'
PROGRAMS=('0101010101010101010101010101010101010101010101010101010101010101 bin/kubeadm /usr/local/bin/kubeadm')
IMAGES=('4040404040404040404040404040404040404040404040404040404040404040 images/kube-apiserver.tar bundle.example.internal/kube-apiserver:v1.36.1' '4141414141414141414141414141414141414141414141414141414141414141 images/kube-controller-manager.tar bundle.example.internal/kube-controller-manager:v1.36.1' '4242424242424242424242424242424242424242424242424242424242424242 images/kube-scheduler.tar bundle.example.internal/kube-scheduler:v1.36.1' '4343434343434343434343434343434343434343434343434343434343434343 images/kube-proxy.tar bundle.example.internal/kube-proxy:v1.36.1' '4444444444444444444444444444444444444444444444444444444444444444 images/etcd.tar bundle.example.internal/etcd:3.6.5' '4545454545454545454545454545454545454545454545454545454545454545 images/coredns.tar bundle.example.internal/coredns:v1.14.7' '4646464646464646464646464646464646464646464646464646464646464646 images/pause.tar bundle.example.internal/pause:3.10.2')
IFS= read -r -d '' UPGRADE_CONFIG <<'END_OF_UPGRADE_CONFIG'
apiVersion: kubeadm.k8s.io/v1beta4
kind: UpgradeConfiguration
apply:
  kubernetesVersion: v1.36.1
END_OF_UPGRADE_CONFIG
AUDIT_POLICY_FILE='/etc/kubernetes/sitewright/audit-policy.yaml'
IFS= read -r -d '' AUDIT_POLICY <<'END_OF_AUDIT_POLICY'
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - level: Metadata
END_OF_AUDIT_POLICY
ADMISSION_FILE='/etc/kubernetes/sitewright/admission.yaml'
IFS= read -r -d '' ADMISSION_CONFIG <<'END_OF_ADMISSION_CONFIG'
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins: []
END_OF_ADMISSION_CONFIG
PATCH_FILES=()
PATCHES=()
KUBEADM_FILE='/etc/kubernetes/sitewright/kubeadm.yaml'
IFS= read -r -d '' KUBEADM_CONFIG <<'END_OF_KUBEADM_CONFIG'
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: 192.0.2.11
  bindPort: 6443
nodeRegistration:
  name: cp1
  criSocket: unix:///run/containerd/containerd.sock
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.1
controlPlaneEndpoint: api.oslo.internal:6443
apiServer:
  certSANs:
    - api.oslo.internal
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
END_OF_KUBEADM_CONFIG

step() { printf 'step: %s\n' "$1" >&2; }

refuse() {
  printf 'error: %s\n' "$@" >&2
  exit 1
}

# lock SECONDS: one script at a time; the one of an interrupted run may still be at work.
lock() {
  exec 9>/run/sitewright.lock
  flock -n 9 && return
  step 'waiting for another script of the kit on this machine to end'
  flock -w "$1" 9 ||
    refuse "another script of the kit is still running on this machine after $1 seconds: see ps -ef, end it and run again"
}

# problem KEY WANTED FOUND WHY: remembered, so that the end can name all of them at once.
PROBLEMS=()
problem() { PROBLEMS+=("$1: wanted $2, found $3: $4"); }

# slurp VARIABLE FILE: the content of a file, or nothing. A builtin: a process costs 20 ms on an emulated node.
slurp() {
  printf -v "$1" ''
  [ ! -r "$2" ] || IFS= read -r -d '' "$1" <"$2" || true
}

# audit WHAT OLD NEW: written before the change is made, so that no change is without a line.
audit() {
  local now
  printf -v now '%(%Y-%m-%dT%H:%M:%SZ)T' -1
  [ -d "${AUDIT_LOG%/*}" ] || mkdir -p "${AUDIT_LOG%/*}"
  printf '%s %s: %s -> %s\n' "$now" "$1" "${2:-(none)}" "${3:-(none)}" >>"$AUDIT_LOG"
  CHANGES=$((CHANGES + 1))
}

# audit_lines PATH OLD NEW: one line for every setting of a file that goes or comes; comments say nothing to the machine.
audit_lines() {
  local -A before=() after=()
  local line
  while IFS= read -r line; do before["=$line"]=1; done <<<"$2"
  while IFS= read -r line; do after["=$line"]=1; done <<<"$3"
  while IFS= read -r line; do [ -n "${after["=$line"]-}" ] || [[ $line = '#'* ]] || audit "$1" "$line" ''; done <<<"$2"
  while IFS= read -r line; do [ -n "${before["=$line"]-}" ] || [[ $line = '#'* ]] || audit "$1" '' "$line"; done <<<"$3"
}

# A service must take over what was written, also when this script was killed in between: the mark stays until it has.
# It lives in /run because a restart of the machine takes everything over.
pending() {
  [ -d "$RUN_DIR" ] || mkdir -p "$RUN_DIR"
  : >"$RUN_DIR/pending-$1"
}
is_pending() { [ -e "$RUN_DIR/pending-$1" ]; }
settled() { rm -f "$RUN_DIR/pending-$1"; }

# settle NAME COMMAND...: runs the command if NAME is pending.
settle() {
  local name=$1
  shift
  is_pending "$name" || return 0
  step "$*"
  "$@" >&2 </dev/null || {
    problem "$name" 'to be taken over' "exit code $?" "'$*' failed; its messages are above"
    return 0
  }
  settled "$name"
}

# write_file PATH MODE CONTENT [PENDING]: atomic; touches nothing when the content is the same.
write_file() {
  local path=$1 mode=$2 content=$3 old='' changes=$CHANGES
  if [ -f "$path" ]; then
    slurp old "$path"
    [ "$old" != "$content" ] || return 0
  fi
  if [ "$mode" = 0755 ]; then audit "$path" "${old:+another script}" script; else audit_lines "$path" "$old" "$content"; fi
  [ "$CHANGES" -gt "$changes" ] || audit "$path" 'other comments or another order' 'as planned'
  [ -z "${4-}" ] || pending "$4"
  [ -d "${path%/*}" ] || mkdir -p "${path%/*}"
  if ! { printf '%s' "$content" >"$path.sitewright-new" && chmod "$mode" "$path.sitewright-new" && mv -f "$path.sitewright-new" "$path"; }; then
    refuse "$path cannot be written: make room and check that its file system is writable, then run again"
  fi
}

# last_setting VARIABLE KEY DIRECTORY_NAME: the value that systemd takes for KEY from /etc/systemd/DIRECTORY_NAME.d and
# its siblings. Files are read in the order of their names, whatever their folder, and the last one wins.
last_setting() {
  local path name line last=''
  local -A files=()
  for path in /usr/lib/systemd/"$3".d/*.conf /run/systemd/"$3".d/*.conf /etc/systemd/"$3".d/*.conf; do
    [ ! -f "$path" ] || files["${path##*/}"]=$path
  done
  local names=("${!files[@]}")
  # A glob would sort by folder first; the names alone must be sorted.
  [ "${#files[@]}" -lt 2 ] || mapfile -t names < <(printf '%s\n' "${!files[@]}" | sort)
  for name in "${names[@]}"; do
    while IFS= read -r line; do
      [[ $line != "$2="* ]] || last=${line#*=}
    done <"${files["$name"]}"
  done
  printf -v "$1" '%s' "$last"
}

# The script goes on when its connection breaks: the next run waits for it, and half of what kubeadm does is worse than
# all of it with nobody watching. Its words then go nowhere, and that must not end it.
trap '' PIPE

# write_secret PATH CONTENT [PENDING]: as write_file, 0600 from the first byte, and the audit log names the file alone.
write_secret() {
  local path=$1 content=$2 old=''
  slurp old "$path"
  if [ -f "$path" ] && [ "$old" = "$content" ]; then
    chmod 0600 "$path"
    return 0
  fi
  audit "$path" "${old:+another content}" written
  [ -z "${3-}" ] || pending "$3"
  if ! (umask 077 && mkdir -p "${path%/*}" && printf '%s' "$content" >"$path.sitewright-new" &&
    chmod 0600 "$path.sitewright-new" && mv -f "$path.sitewright-new" "$path"); then
    refuse "$path cannot be written: make room and check that its file system is writable, then run again"
  fi
}

# settle_now NAME COMMAND...
settle_now() {
  pending "$1"
  settle "$@"
}

enable_unit() {
  [ ! -e "/etc/systemd/system/multi-user.target.wants/$1.service" ] || return 0
  audit "unit $1" disabled enabled
  systemctl enable "$1.service" >&2 || problem "unit $1" enabled disabled 'systemctl enable failed; its message is above'
}

# wait_until SECONDS WHAT COMMAND...: true as soon as the command is; false after the limit.
wait_until() {
  local limit=$1 what=$2 begin=$SECONDS told=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1 </dev/null; do
    [ $((SECONDS - begin)) -lt "$limit" ] || return 1
    if [ "$SECONDS" -ge "$told" ]; then
      step "waiting until $what ($((SECONDS - begin)) s of $limit s)"
      told=$((SECONDS + 15))
    fi
    sleep 2
  done
}

# run_kubeadm ARGUMENT...: its own words become progress. The last of them are shown where it fails.
run_kubeadm() {
  local line code
  local -a last=()
  audit kubeadm '' "$*"
  exec 8< <(kubeadm "$@" 2>&1 </dev/null || printf 'exit code %s of kubeadm\n' $?)
  while IFS= read -r line <&8; do
    if [[ $line = '['* ]]; then step "kubeadm: $line"; fi
    last+=("$line")
    [ "${#last[@]}" -le 40 ] || last=("${last[@]:1}")
  done
  exec 8<&-
  [[ ${last[-1]-} =~ ^exit\ code\ ([0-9]+)\ of\ kubeadm$ ]] || return 0
  code=${BASH_REMATCH[1]}
  printf '  %s\n' "${last[@]}" >&2
  return "$code"
}

# is_of_cluster SECONDS CA_FILE HOST:PORT [OPTION...]: who answers there has a certificate of this authority. Without credentials,
# which this node may not have yet: kubectl would ask for them before it connects.
is_of_cluster() {
  timeout "$1" openssl s_client -connect "$3" -CAfile "$2" -verify_return_error "${@:4}" </dev/null >/dev/null 2>&1
}

# The API server of this control-plane node, whatever the cluster's name leads to.
api_here() { admin_kubectl --server "https://$LOCAL_API" get --raw /readyz; }

admin_kubectl() { kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 60s "$@"; }

# finish: every problem at once, or how much was changed.
finish() {
  if [ "${#PROBLEMS[@]}" -gt 0 ]; then
    printf 'problem: %s\n' "${PROBLEMS[@]}" >&2
    refuse "${#PROBLEMS[@]} value(s) of this node are not as planned; they are listed above"
  fi
  if [ "$CHANGES" -eq 0 ]; then step 'nothing to change'; else step "$CHANGES change(s), recorded in $AUDIT_LOG"; fi
}

# running NAME: the running container of a static pod, or nothing.
running() { crictl ps --quiet --state running --name "^$1\$"; }

# runs_anew NAME ID: another container than this one runs.
runs_anew() {
  local id
  id=$(running "$1") && [ -n "$id" ] && [ "$id" != "$2" ]
}

# restart_static_pod NAME ID: stops this container, where there is one, and waits until kubelet has another run.
restart_static_pod() {
  step "restarts $1"
  [ -z "$2" ] || crictl stop --timeout 30 "$2" >/dev/null || refuse "$1 could not be stopped; the message of crictl is above"
  wait_until "$LIMIT_SECONDS" "$1 runs again" runs_anew "$1" "$2" ||
    refuse "$1 does not run again: not within $LIMIT_SECONDS seconds; see crictl ps -a and journalctl -u kubelet on this machine"
}

BUNDLE=''

# A disk that the hypervisor attached, or the copy of a machine that is not the kit's. A disk that was exchanged while the
# machine runs shows its new content a moment later.
open_bundle() {
  [ -z "$BUNDLE" ] || return 0
  if [ -n "$BUNDLE_FOLDER" ]; then
    bundle_is_planned "$BUNDLE_FOLDER" ||
      refuse "$BUNDLE_FOLDER holds the bundle ${FOUND_ID:-of nobody}, and $BUNDLE_ID is planned: its copy did not end; run again"
    BUNDLE=$BUNDLE_FOLDER
    return
  fi
  trap close_bundle EXIT
  wait_until 60 'the disk with the bundle shows' mount_bundle ||
    refuse "the disk $BUNDLE_DEVICE holds the bundle ${FOUND_ID:-of nobody}, and $BUNDLE_ID is planned: stop the machine and start it again, so that it gets the disk that its definition names"
  BUNDLE=$BUNDLE_MOUNT
}

mount_bundle() {
  close_bundle
  mkdir -p "$BUNDLE_MOUNT"
  [ -b "$BUNDLE_DEVICE" ] && mount -t iso9660 -o ro,nosuid,nodev "$BUNDLE_DEVICE" "$BUNDLE_MOUNT" && bundle_is_planned "$BUNDLE_MOUNT"
}

# bundle_is_planned FOLDER
bundle_is_planned() {
  FOUND_ID=$(sha256sum "$1/bundle.lock.json" 2>/dev/null)
  FOUND_ID=${FOUND_ID%% *}
  [ "$FOUND_ID" = "$BUNDLE_ID" ]
}

close_bundle() {
  ! mountpoint -q "$BUNDLE_MOUNT" || umount "$BUNDLE_MOUNT" >&2
}

# check_sum FILE SHA256 PATH_IN_BUNDLE
check_sum() {
  local sum
  sum=$(sha256sum "$1") || sum='no checksum, for it cannot be read'
  [ "${sum%% *}" = "$2" ] ||
    refuse "$3 of the bundle has the sha256 ${sum%% *}, and its lock says $2: the bundle is damaged; check it with 'sitewright bundle verify'"
}

# Checked after the copy: what lies at the target is what the lock names, and a program is replaced as a whole.
programs_apply() {
  step 'programs of the bundle'
  local entry sum source target installed path folder
  local -A have=()
  local -a targets=()
  for entry in "${PROGRAMS[@]}"; do
    read -r _ _ target <<<"$entry"
    [ ! -f "$target" ] || targets+=("$target")
  done
  if [ "${#targets[@]}" -gt 0 ]; then
    while read -r installed path; do have["$path"]=$installed; done < <(sha256sum "${targets[@]}")
  fi
  for entry in "${PROGRAMS[@]}"; do
    read -r sum source target <<<"$entry"
    [ "${have["$target"]-}" != "$sum" ] || continue
    open_bundle
    audit "$target" "${have["$target"]-}" "$sum"
    case $target in
      */containerd) pending containerd ;;
      */kubelet) pending kubelet ;;
    esac
    folder=${target%/*}
    [ -d "$folder" ] || mkdir -p "$folder"
    cp "$BUNDLE/$source" "$target.sitewright-new" >&2 ||
      refuse "$source of the bundle cannot be copied to $folder: make room, or check the bundle with 'sitewright bundle verify'"
    check_sum "$target.sitewright-new" "$sum" "$source"
    chmod 0755 "$target.sitewright-new"
    mv -f "$target.sitewright-new" "$target"
  done
}

# image_digests: DIGESTS[reference] of every image that containerd has.
image_digests() {
  local reference digest
  DIGESTS=()
  while read -r reference _ digest _; do
    [[ $digest != sha256:* ]] || DIGESTS["$reference"]=$digest
  done < <(ctr -n k8s.io images ls 2>/dev/null)
}

# The stamp of a file says which image it became: an image that was removed, or made anew under the same name, comes again.
images_apply() {
  step 'container images of the bundle'
  local entry sum source reference stamp text
  local -A DIGESTS=()
  image_digests
  for entry in "${IMAGES[@]}"; do
    read -r sum source reference <<<"$entry"
    stamp=/var/lib/sitewright/images/$sum
    slurp text "$stamp"
    [ -z "$text" ] || [ "$text" != "$reference ${DIGESTS["$reference"]-none}" ] || continue
    open_bundle
    step "importing $reference"
    check_sum "$BUNDLE/$source" "$sum" "$source"
    audit "image $reference" "${DIGESTS["$reference"]-}" "$source $sum"
    ctr -n k8s.io images import "$BUNDLE/$source" >&2 || refuse "containerd could not import $source; its message is above"
    image_digests
    [ -n "${DIGESTS["$reference"]-}" ] ||
      refuse "$source of the bundle holds no image $reference: build the bundle again for this site"
    # kubelet removes unused images from a full disk, and there is no registry to get them back from. containerd 1.6 does
    # not tell it of the label: there the plan keeps kubelet from it.
    ctr -n k8s.io images label "$reference" io.cri-containerd.pinned=pinned >/dev/null
    [ -d "${stamp%/*}" ] || mkdir -p "${stamp%/*}"
    printf '%s' "$reference ${DIGESTS["$reference"]}" >"$stamp.new" && mv -f "$stamp.new" "$stamp"
  done
}

# What earlier bundles brought may go when the disk fills: kubelet removes what nothing uses and nobody has pinned.
images_release() {
  local stamp text
  for stamp in /var/lib/sitewright/images/*; do
    [[ -f $stamp && " ${IMAGES[*]}" != *" ${stamp##*/} "* ]] || continue
    slurp text "$stamp"
    if [[ " ${IMAGES[*]} " != *" ${text%% *} "* ]]; then
      audit "image ${text%% *}" pinned 'may be removed'
      ctr -n k8s.io images label "${text%% *}" io.cri-containerd.pinned= >/dev/null 2>&1
    fi
    rm -f "$stamp"
  done
}

# resolver_differs: sets RESOLVER and RESOLVER_PLANNED. kubeadm chooses when a node joins: the stub of systemd-resolved is
# nothing that a pod could reach, and CoreDNS would ask itself through it.
resolver_differs() {
  local line
  RESOLVER=/etc/resolv.conf RESOLVER_PLANNED=/etc/resolv.conf
  while read -r line; do
    [[ $line != 'resolvConf: '* ]] || RESOLVER=${line#resolvConf: }
  done </var/lib/kubelet/config.yaml
  ! command systemctl --quiet is-active systemd-resolved.service || RESOLVER_PLANNED=/run/systemd/resolve/resolv.conf
  [ "$RESOLVER" != "$RESOLVER_PLANNED" ]
}
# sum_of VARIABLE FILE...
sum_of() {
  local checked
  checked=$(cat "${@:2}" 2>/dev/null | sha256sum)
  printf -v "$1" '%s' "${checked%% *}"
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

static_pod_files() {
  local index
  write_file "$AUDIT_POLICY_FILE" 0600 "$AUDIT_POLICY" kube-apiserver
  if [ -n "$ADMISSION_CONFIG" ]; then
    write_file "$ADMISSION_FILE" 0600 "$ADMISSION_CONFIG" kube-apiserver
  elif [ -e "$ADMISSION_FILE" ]; then
    audit "$ADMISSION_FILE" present removed
    rm -f "$ADMISSION_FILE"
  fi
  for index in "${!PATCH_FILES[@]}"; do write_file "${PATCH_FILES[index]}" 0600 "${PATCHES[index]}"; done
}

# While it is there the node is on its way: "VERSION uncordon", or "VERSION stay" for one that somebody else has cordoned.
MARK="$STATE_FOLDER/upgrading"

# look: one JSON object, and nothing is changed. A script of a killed run may still be at work: it ends first.
look() {
  local text path mark='' etcd='' data=false member=false initialised=false
  local -a versions=()
  [ ! -s /etc/kubernetes/kubelet.conf ] || [ ! -s /var/lib/kubelet/config.yaml ] || member=true
  [ ! -e "$STATE_FOLDER/initialised" ] || initialised=true
  text=$("$PROGRAM_FOLDER/kubelet" --version 2>/dev/null)
  [[ ! $text =~ v([0-9.]+) ]] || versions+=("kubelet ${BASH_REMATCH[1]}")
  for path in /etc/kubernetes/manifests/kube-*.yaml; do
    slurp text "$path"
    [[ ! $text =~ image:\ [^[:space:]]+:v([0-9.]+) ]] || {
      path=${path##*/}
      versions+=("${path%.yaml} ${BASH_REMATCH[1]}")
    }
  done
  slurp text /etc/kubernetes/manifests/etcd.yaml
  [[ ! $text =~ image:\ [^[:space:]]+:v?([0-9]+\.[0-9]+\.[0-9]+) ]] || etcd=${BASH_REMATCH[1]}
  # On a machine that was made anew its disk of etcd is not mounted yet.
  if [ -d "$ETCD_FOLDER/member" ] || [ -n "$(blkid -L "$ETCD_LABEL")" ]; then data=true; fi
  slurp mark "$MARK"
  text=''
  [ "${#versions[@]}" -eq 0 ] || printf -v text ', "%s"' "${versions[@]}"
  printf '{"member": %s, "initialised": %s, "mark": "%s", "versions": [%s], "etcd": "%s", "etcdData": %s}\n' \
    "$member" "$initialised" "${mark%$'\n'}" "${text#, }" "$etcd" "$data"
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

main </dev/null
