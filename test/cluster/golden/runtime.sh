# Gives cp1 what it needs as a node of Kubernetes 1.36.1. Made by sitewright.
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

KUBERNETES_VERSION='1.36.1'
CONTAINERD_VERSION='1.6.20'
BUNDLE_ID='b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1'
BUNDLE_DEVICE='/dev/disk/by-id/virtio-bundle'
BUNDLE_FOLDER=''
BUNDLE_MOUNT='/run/sitewright/bundle'
PROGRAMS=('0101010101010101010101010101010101010101010101010101010101010101 bin/kubeadm /usr/local/bin/kubeadm' '0202020202020202020202020202020202020202020202020202020202020202 bin/kubelet /usr/local/bin/kubelet' '0303030303030303030303030303030303030303030303030303030303030303 bin/kubectl /usr/local/bin/kubectl' '0404040404040404040404040404040404040404040404040404040404040404 bin/crictl /usr/local/bin/crictl' '0505050505050505050505050505050505050505050505050505050505050505 bin/containerd /usr/local/bin/containerd' '0606060606060606060606060606060606060606060606060606060606060606 bin/containerd-shim-runc-v2 /usr/local/bin/containerd-shim-runc-v2' '0707070707070707070707070707070707070707070707070707070707070707 bin/ctr /usr/local/bin/ctr' '0808080808080808080808080808080808080808080808080808080808080808 bin/runc /usr/local/bin/runc' '2020202020202020202020202020202020202020202020202020202020202020 cni/bridge /opt/cni/bin/bridge' '2121212121212121212121212121212121212121212121212121212121212121 cni/host-local /opt/cni/bin/host-local' '2222222222222222222222222222222222222222222222222222222222222222 cni/loopback /opt/cni/bin/loopback' '2323232323232323232323232323232323232323232323232323232323232323 cni/portmap /opt/cni/bin/portmap')
IMAGES=('4040404040404040404040404040404040404040404040404040404040404040 images/kube-apiserver.tar bundle.example.internal/kube-apiserver:v1.36.1' '4141414141414141414141414141414141414141414141414141414141414141 images/kube-controller-manager.tar bundle.example.internal/kube-controller-manager:v1.36.1' '4242424242424242424242424242424242424242424242424242424242424242 images/kube-scheduler.tar bundle.example.internal/kube-scheduler:v1.36.1' '4343434343434343434343434343434343434343434343434343434343434343 images/kube-proxy.tar bundle.example.internal/kube-proxy:v1.36.1' '4444444444444444444444444444444444444444444444444444444444444444 images/etcd.tar bundle.example.internal/etcd:3.6.5' '4545454545454545454545454545454545454545454545454545454545454545 images/coredns.tar bundle.example.internal/coredns:v1.14.7' '4646464646464646464646464646464646464646464646464646464646464646 images/pause.tar bundle.example.internal/pause:3.10.2')
IFS= read -r -d '' CONTAINERD_CONFIG <<'END_OF_CONTAINERD_CONFIG'
version = 2

root = "/var/lib/containerd"
END_OF_CONTAINERD_CONFIG
IFS= read -r -d '' CONTAINERD_UNIT <<'END_OF_CONTAINERD_UNIT'
# Made by sitewright. Edits are undone by the next run on this node.
[Unit]
Description=containerd container runtime
After=network.target local-fs.target

[Service]
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNPROC=infinity
LimitCORE=infinity
LimitNOFILE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
END_OF_CONTAINERD_UNIT
REGISTRY_FOLDER='/etc/containerd/certs.d'
REGISTRY_FOLDERS=()
REGISTRY_HOSTS=()
REGISTRY_AUTHORITIES=()
REGISTRY_LOGINS_FILE='/etc/sitewright/registries/config.json'
REGISTRY_LOGINS=''
IFS= read -r -d '' CRICTL_CONFIG <<'END_OF_CRICTL_CONFIG'
# Made by sitewright. Edits are undone by the next run on this node.
runtime-endpoint: unix:///run/containerd/containerd.sock
image-endpoint: unix:///run/containerd/containerd.sock
# An emulated machine can take longer than the default of 2 s for a list.
timeout: 30
END_OF_CRICTL_CONFIG
IFS= read -r -d '' KUBELET_UNIT <<'END_OF_KUBELET_UNIT'
# Made by sitewright. Edits are undone by the next run on this node.
[Unit]
Description=kubelet: the Kubernetes node agent
Wants=network-online.target containerd.service
After=network-online.target containerd.service
ConditionPathExists=/var/lib/kubelet/config.yaml
StartLimitIntervalSec=0

[Service]
WorkingDirectory=-/etc/sitewright/registries
ExecStart=/usr/local/bin/kubelet
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
END_OF_KUBELET_UNIT
IFS= read -r -d '' KUBEADM_DROP_IN <<'END_OF_KUBEADM_DROP_IN'
# Made by sitewright. Edits are undone by the next run on this node.
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
END_OF_KUBEADM_DROP_IN
CNI_FILE='/etc/cni/net.d/10-sitewright.conflist'
IFS= read -r -d '' CNI_CONFIG <<'END_OF_CNI_CONFIG'
{
  "cniVersion": "1.0.0",
  "name": "sitewright",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0"
    }
  ]
}
END_OF_CNI_CONFIG
CNI_DEVICE_NAMES=''
MASQUERADE_FILE='/etc/sitewright/pod-masquerade.nft'
IFS= read -r -d '' MASQUERADE_RULES <<'END_OF_MASQUERADE_RULES'
table inet sitewright_pods {
}
END_OF_MASQUERADE_RULES
IFS= read -r -d '' MASQUERADE_UNIT <<'END_OF_MASQUERADE_UNIT'
# Made by sitewright. Edits are undone by the next run on this node.
[Unit]
Description=Pods reach what is outside the cluster by the address of their node
Before=kubelet.service
After=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=nft -f /etc/sitewright/pod-masquerade.nft

[Install]
WantedBy=multi-user.target
END_OF_MASQUERADE_UNIT
PROGRAM_FOLDER='/usr/local/bin'
STATE_FOLDER='/var/lib/sitewright/cluster'
LIMIT_SECONDS='900'
AUDIT_LOG='/var/log/sitewright/audit.log'
RUN_DIR='/run/sitewright'

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

containerd_answers() { ctr version; }

containerd_apply() {
  step 'containerd'
  write_file /etc/containerd/config.toml 0644 "$CONTAINERD_CONFIG" containerd
  write_file /etc/systemd/system/containerd.service 0644 "$CONTAINERD_UNIT" containerd
  write_file /etc/crictl.yaml 0644 "$CRICTL_CONFIG"
  # A restart of a machine makes what is in /run new: systemd has read its units then, too.
  if is_pending containerd; then
    systemctl daemon-reload >&2
    step 'containerd takes over what changed; containers go on meanwhile'
    settle containerd systemctl restart containerd.service
  fi
  enable_unit containerd
  systemctl --quiet is-active containerd.service || settle_now containerd systemctl start containerd.service
  wait_until "$LIMIT_SECONDS" 'containerd answers' containerd_answers ||
    refuse 'containerd does not answer: see journalctl -u containerd on this machine'
}

# kubeadm starts kubelet when it has written what kubelet reads; before, there is nothing that it could do.
kubelet_apply() {
  step 'kubelet'
  write_file /etc/systemd/system/kubelet.service 0644 "$KUBELET_UNIT" kubelet
  write_file /etc/systemd/system/kubelet.service.d/10-kubeadm.conf 0644 "$KUBEADM_DROP_IN" kubelet
  if is_pending kubelet; then
    systemctl daemon-reload >&2
    if systemctl --quiet is-active kubelet.service; then
      settle kubelet systemctl restart kubelet.service
    else
      settled kubelet
    fi
  fi
  enable_unit kubelet
}

# Pods reach what is outside the cluster by the address of their node: rules that are loaded at every boot, and now.
masquerade_apply() {
  local unit=sitewright-pod-masquerade
  if [ -z "$MASQUERADE_FILE" ]; then
    [ -e "/etc/systemd/system/$unit.service" ] || return 0
    audit "unit $unit" enabled removed
    systemctl disable --now "$unit.service" >&2
    rm -f "/etc/systemd/system/$unit.service"
    return
  fi
  step 'masquerading of pods'
  write_file "$MASQUERADE_FILE" 0644 "$MASQUERADE_RULES" "$unit"
  write_file "/etc/systemd/system/$unit.service" 0644 "$MASQUERADE_UNIT" "$unit"
  enable_unit "$unit"
  if is_pending "$unit"; then
    systemctl daemon-reload >&2
    settle "$unit" systemctl restart "$unit.service"
  fi
  systemctl --quiet is-active "$unit.service" || settle_now "$unit" systemctl start "$unit.service"
}

# containerd takes the first file of the folder by name, and sees changes by itself.
cni_apply() {
  local path
  step 'CNI configuration'
  if [ -n "$CNI_CONFIG" ]; then
    write_file "$CNI_FILE" 0644 "$CNI_CONFIG"
  elif [ -e "$CNI_FILE" ]; then
    audit "$CNI_FILE" present removed
    rm -f "$CNI_FILE"
  fi
  [ -n "$CNI_CONFIG" ] || return 0
  for path in "${CNI_FILE%/*}"/*.{conf,conflist,json}; do
    [[ -e $path && ${path##*/} < ${CNI_FILE##*/} ]] || continue
    problem "$path" "no file before $CNI_FILE" 'one that comes first' 'pods would get the network that it describes: remove it'
  done
}

NETWORKD_DEVICES_FILE=/etc/systemd/network/05-sitewright-pods.network
NETWORKMANAGER_DEVICES_FILE=/etc/NetworkManager/conf.d/90-sitewright-pods.conf

# devices_file PATH CONTENT SERVICE COMMAND...: where the service runs. Without content what an earlier plan put there goes.
devices_file() {
  local path=$1 content=$2 service=$3
  shift 3
  if [ -n "$content" ]; then
    systemctl --quiet is-active "$service.service" || return 0
    write_file "$path" 0644 "$content" "$service-devices"
  elif [ -e "$path" ]; then
    audit "$path" present removed
    rm -f "$path"
    pending "$service-devices"
  fi
  settle "$service-devices" "$@"
}

cni_devices_apply() {
  local networkd='' manager='' patterns=$CNI_DEVICE_NAMES
  if [ -n "$patterns" ]; then
    step 'devices of the pods stay out of the configuration of the machine'
    networkd=$'# Made by sitewright; edits are undone.\n[Match]\nName='"$patterns"$'\n\n[Link]\nUnmanaged=yes\n'
    manager=$'# Made by sitewright; edits are undone.\n[keyfile]\nunmanaged-devices=interface-name:'"${patterns// /;interface-name:}"$'\n'
  fi
  devices_file "$NETWORKD_DEVICES_FILE" "$networkd" systemd-networkd networkctl reload
  devices_file "$NETWORKMANAGER_DEVICES_FILE" "$manager" NetworkManager nmcli general reload
}

registries_apply() {
  local index folder planned name
  [ "${#REGISTRY_FOLDERS[@]}" -eq 0 ] || step 'registries'
  for index in "${!REGISTRY_FOLDERS[@]}"; do
    folder=${REGISTRY_FOLDERS[index]}
    # Before the file that names it.
    [ -z "${REGISTRY_AUTHORITIES[index]}" ] || write_file "$folder/ca.crt" 0644 "${REGISTRY_AUTHORITIES[index]}"
    write_file "$folder/hosts.toml" 0644 "${REGISTRY_HOSTS[index]}"
    [ -n "${REGISTRY_AUTHORITIES[index]}" ] || rm -f "$folder/ca.crt"
  done
  for folder in "$REGISTRY_FOLDER"/*/; do
    folder=${folder%/} planned=no
    for name in "${REGISTRY_FOLDERS[@]}"; do [ "$name" != "$folder" ] || planned=yes; done
    [ "$planned" = no ] || continue
    # What somebody else put there stays.
    slurp name "$folder/hosts.toml"
    [[ $name = *'Made by sitewright'* ]] || continue
    audit "$folder" 'of the kit' removed
    rm -f "$folder/hosts.toml" "$folder/ca.crt"
    rmdir "$folder" 2>/dev/null || true
  done
  if [ -n "$REGISTRY_LOGINS" ]; then
    write_secret "$REGISTRY_LOGINS_FILE" "$REGISTRY_LOGINS"
  elif [ -e "$REGISTRY_LOGINS_FILE" ]; then
    audit "$REGISTRY_LOGINS_FILE" present removed
    rm -f "$REGISTRY_LOGINS_FILE"
  fi
}

# A cluster is moved to another version node by node, drained first: programs of another one come with that alone.
refuse_other_version() {
  local found mark
  slurp mark "$STATE_FOLDER/upgrading"
  [ "${mark%% *}" != "$KUBERNETES_VERSION" ] || return 0
  [ -e /etc/kubernetes/kubelet.conf ] && [ -x "$PROGRAM_FOLDER/kubelet" ] || return 0
  found=$("$PROGRAM_FOLDER/kubelet" --version 2>/dev/null)
  found=${found#Kubernetes v}
  [ -z "$found" ] || [ "$found" = "$KUBERNETES_VERSION" ] ||
    refuse "this node runs Kubernetes $found and the site file says $KUBERNETES_VERSION, and the upgrade of the cluster has not come to it: run 'up' again"
}

main() {
  lock "$LIMIT_SECONDS"
  refuse_other_version
  programs_apply
  containerd_apply
  registries_apply
  images_apply
  images_release
  kubelet_apply
  masquerade_apply
  cni_devices_apply
  cni_apply
  finish
  printf '{"schemaVersion": 1, "bundle": "%s", "containerd": "%s", "kubernetes": "%s", "images": %d}\n' \
    "$BUNDLE_ID" "$CONTAINERD_VERSION" "$KUBERNETES_VERSION" "${#IMAGES[@]}"
}

main </dev/null
