# Takes the node cp3 apart. Made by sitewright.
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

NODE='cp3'
STATE_FOLDER='/var/lib/sitewright/cluster'
LIMIT_SECONDS='900'
AUDIT_LOG='/var/log/sitewright/audit.log'
RUN_DIR='/run/sitewright'
CRI_SOCKET='unix:///run/containerd/containerd.sock'
ETCD_FOLDER='/var/lib/etcd'
UNITS=('sitewright-vip.service' 'sitewright-api-proxy.service' 'sitewright-kubelet-certificates.timer')

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

main() {
  local path unit
  lock "$LIMIT_SECONDS"
  # The virtual address goes to another node before the API server of this one stops.
  for unit in "${UNITS[@]}"; do
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
  [ "${#PROBLEMS[@]}" -gt 0 ] || rm -rf "$STATE_FOLDER"
  finish
}

main </dev/null
