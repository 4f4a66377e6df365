# Takes cp3 out of its cluster: drain. Made by sitewright.
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
DRAIN_SECONDS='600'
PEER_URLS=('https://192.0.2.13:2380' 'https://[2001:db8::13]:2380')
LEAVING_ANNOTATION='sitewright.internal/leaving'
ACTION='drain'

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

api_answers() { admin_kubectl get --raw /readyz; }
api_wait() {
  wait_until "$LIMIT_SECONDS" 'the API server answers' api_answers || refuse 'the API server does not answer: see journalctl -u kubelet on this machine'
}
node_ready() {
  [ "$(admin_kubectl get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

wait_node_ready() {
  # Without a CNI of the kit somebody else's makes it Ready, later.
  [ "$WAIT_READY" = no ] || wait_until "$LIMIT_SECONDS" "the Node $NODE is Ready" node_ready ||
    refuse "the Node $NODE is not Ready: $(admin_kubectl get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].message}')"
}

# By the certificate that the cluster signed: without it there are no logs, no exec and no metrics of the node.
kubelet_reached() {
  "$KUBELET_CERTIFICATES_PROGRAM" && [ "$(admin_kubectl get --raw "/api/v1/nodes/$NODE/proxy/healthz")" = ok ]
}
wait_kubelet_reached() {
  wait_until "$LIMIT_SECONDS" "the API server reaches kubelet of $NODE" kubelet_reached ||
    refuse "the API server does not reach kubelet of $NODE: $("$KUBELET_CERTIFICATES_PROGRAM" 2>&1; admin_kubectl get --raw "/api/v1/nodes/$NODE/proxy/healthz" 2>&1)"
}

# What the plan says of the Node, beyond what kubelet registered.
node_object_apply() {
  labels_apply
  taints_apply
  stays
}

# A node that was to leave, and is to stay before it was gone: cordoned by the kit then.
stays() {
  [[ $(admin_kubectl get node "$NODE" -o 'jsonpath={.metadata.annotations}') = *"\"$LEAVING_ANNOTATION\""* ]] || return 0
  audit "Node $NODE" leaving active
  { admin_kubectl uncordon "$NODE" && admin_kubectl annotate node "$NODE" "$LEAVING_ANNOTATION-"; } >&2 ||
    problem "Node $NODE" schedulable 'cordoned, as it was to leave' "kubectl's message is above"
}

labels_apply() {
  # Server-side: the labels that this manager put on the Node and no others go when they leave the plan. Unchecked: for a
  # check kubectl fetches the whole description of an API that may have started just now, and waits 32 s for it.
  printf '%s' "$NODE_MANIFEST" |
    admin_kubectl apply --validate=false --server-side --force-conflicts --field-manager=sitewright-node -f - >&2 ||
    problem "labels of $NODE" 'as planned' 'not set' 'kubectl apply failed; its message is above'
}

# The list of taints has other writers too, so each is set and taken away by itself. Those of the kit are remembered here.
taints_apply() {
  local taint before file="$STATE_FOLDER/taints-$NODE"
  local -a gone=()
  slurp before "$file"
  while IFS= read -r taint; do
    [ -z "$taint" ] || [[ " ${TAINTS[*]} " == *" $taint "* ]] || gone+=("${taint%%[=:]*}:${taint##*:}-")
  done <<<"$before"
  if [ "${#TAINTS[@]}" -gt 0 ]; then
    admin_kubectl taint node "$NODE" --overwrite "${TAINTS[@]}" >&2 || problem "taints of $NODE" "${TAINTS[*]}" 'not set' 'kubectl taint failed; its message is above'
  fi
  for taint in "${gone[@]}"; do
    audit "taint of $NODE" "$taint" removed
    # Somebody may have removed it by hand.
    admin_kubectl taint node "$NODE" "$taint" >&2 || true
  done
  printf -v before '%s\n' "${TAINTS[@]}"
  printf '%s' "$before" >"$file.new" && mv -f "$file.new" "$file"
}

ETCD_MANIFEST=/etc/kubernetes/manifests/etcd.yaml

# manifest_argument MANIFEST NAME: an argument of a static pod, as kubeadm writes it.
manifest_argument() {
  local line
  while read -r line; do
    case $line in "- --$2="*) printf '%s' "${line#*=}" && return ;; esac
  done <"$1"
  return 1
}

# etcdctl_here LIMIT_SECONDS WORD...: an emulated machine needs longer than the two seconds that etcdctl gives a
# connection. The address is that of the pod's family.
etcdctl_here() {
  local pki=/etc/kubernetes/pki/etcd urls
  [ -e "$ETCD_MANIFEST" ] || refuse "this machine runs no etcd: $ETCD_MANIFEST is not there"
  urls=$(manifest_argument "$ETCD_MANIFEST" listen-client-urls) || refuse "$ETCD_MANIFEST names no listen-client-urls"
  etcdctl --endpoints "${urls%%,*}" --cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" --key "$pki/healthcheck-client.key" \
    --dial-timeout 60s --command-timeout "$1s" "${@:2}"
}

cordon_node() {
  [ "$(admin_kubectl get node "$NODE" -o 'jsonpath={.spec.unschedulable}')" != true ] || return 0
  audit "Node $NODE" schedulable cordoned
  admin_kubectl cordon "$NODE" >&2 || refuse "$NODE could not be cordoned; kubectl's message is above"
}

uncordon_node() {
  [ "$(admin_kubectl get node "$NODE" -o 'jsonpath={.spec.unschedulable}')" = true ] || return 0
  audit "Node $NODE" cordoned schedulable
  admin_kubectl uncordon "$NODE" >&2 || refuse "$NODE could not be uncordoned; kubectl's message is above"
}

# drain_node SECONDS: pods of DaemonSets and of the node itself stay, and data of emptyDir volumes goes with its pod.
# A pod that nothing would make again elsewhere is not evicted: that is for its owner to decide.
drain_node() {
  local line pod failed='' told=' '
  local -a blocked=() last=()
  cordon_node
  step "draining $NODE"
  exec 8< <(admin_kubectl drain "$NODE" --ignore-daemonsets --delete-emptydir-data --timeout "$1s" 2>&1 </dev/null || printf 'exit code %s of kubectl\n' $?)
  while IFS= read -r line <&8; do
    pod=''
    if [[ $line =~ ^error\ when\ evicting\ pods/\"([^\"]+)\"\ -n\ \"([^\"]+)\".*disruption\ budget ]]; then
      pod="${BASH_REMATCH[2]}/${BASH_REMATCH[1]}"
      [[ $told = *" blocked:$pod "* ]] || {
        step "waiting for a PodDisruptionBudget that holds $pod"
        told+="blocked:$pod " blocked+=("$pod")
      }
    elif [[ $line =~ ^evicting\ pod\ ([^ ]+)$ ]]; then
      pod=${BASH_REMATCH[1]}
      [[ $told = *" $pod "* ]] || step "evicting $pod"
      told+="$pod "
    elif [[ $line =~ ^exit\ code\ [0-9]+\ of\ kubectl$ ]]; then
      failed=yes
    elif [[ $line != Warning:* ]]; then
      last+=("$line")
      [ "${#last[@]}" -le 15 ] || last=("${last[@]:1}")
    fi
  done
  exec 8<&-
  [ -n "$failed" ] || return 0
  printf '  %s\n' "${last[@]}" >&2
  for pod in "${blocked[@]}"; do
    still_there "$pod" || continue
    problem "pod $pod" evicted 'still there' "held by a PodDisruptionBudget ($(tight_budgets "${pod%%/*}"))"
  done
  [ "${#PROBLEMS[@]}" -eq 0 ] || printf 'problem: %s\n' "${PROBLEMS[@]}" >&2
  refuse "$NODE could not be drained within $1 seconds; what is above says why. It stays cordoned, and the next run goes on with it"
}

# still_there NAMESPACE/POD
still_there() {
  [ "$(admin_kubectl -n "${1%%/*}" get pod "${1#*/}" --ignore-not-found -o 'jsonpath={.spec.nodeName}')" = "$NODE" ]
}

# tight_budgets NAMESPACE: those that allow no disruption now.
tight_budgets() {
  local name allowed text=''
  while read -r name allowed; do
    [ "${allowed:-0}" != 0 ] || text+="${text:+, }$1/$name"
  done < <(admin_kubectl -n "$1" get poddisruptionbudgets -o 'jsonpath={range .items[*]}{.metadata.name} {.status.disruptionsAllowed}{"\n"}{end}' 2>/dev/null)
  printf '%s' "${text:-none of them is tight now: run again}"
}

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
    for url in "${PEER_URLS[@]}"; do
      if [ "${name# }" = "$NODE" ] || { [ -z "${name# }" ] && [ "${peers# }" = "$url" ]; }; then MEMBER=$id; fi
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

main </dev/null
