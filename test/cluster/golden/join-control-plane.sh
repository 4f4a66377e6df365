# Joins cp2 to its cluster. Made by sitewright.
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

NODE='cp2'
STATE_FOLDER='/var/lib/sitewright/cluster'
LIMIT_SECONDS='900'
AUDIT_LOG='/var/log/sitewright/audit.log'
RUN_DIR='/run/sitewright'
PART='join-control-plane'
KUBELET_CONFIG_SUM='d9979ea057d066ba79d2b445e9893e291fd89822d4210099923ad765baab0236'
ENDPOINT='api.oslo.internal:6443'
ENDPOINT_NAME='api.oslo.internal'
ENDPOINT_HOSTS_LINE='192.0.2.10 api.oslo.internal'
INITIALISED='/var/lib/sitewright/cluster/initialised'
TAKEN_UP='--ignore-preflight-errors=DirAvailable--var-lib-etcd,Port-6443,Port-10259,Port-10257,Port-10250,Port-2379,Port-2380,FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml,FileAvailable--etc-kubernetes-manifests-kube-controller-manager.yaml,FileAvailable--etc-kubernetes-manifests-kube-scheduler.yaml,FileAvailable--etc-kubernetes-manifests-etcd.yaml'
IFS= read -r -d '' CA_CERTIFICATE <<'END_OF_CA_CERTIFICATE'
-----BEGIN CERTIFICATE-----
ca
-----END CERTIFICATE-----
END_OF_CA_CERTIFICATE
IFS= read -r -d '' JOIN_CONFIG <<'END_OF_JOIN_CONFIG'
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
controlPlane:
  localAPIEndpoint:
    advertiseAddress: 192.0.2.12
    bindPort: 6443
nodeRegistration:
  name: cp2
  criSocket: unix:///run/containerd/containerd.sock
discovery:
  bootstrapToken:
    apiServerEndpoint: api.oslo.internal:6443
    token: "@TOKEN@"
    caCertHashes:
      - sha256:cacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacaca
END_OF_JOIN_CONFIG
TOKEN_PLACE='@TOKEN@'
TOKEN='abcdef.0123456789abcdef'
LOCAL_API='192.0.2.12:6443'

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

API_HOSTS_BEGIN='# BEGIN sitewright api'
API_HOSTS_END='# END sitewright api'

# Before everything else of the kit in the file, where node preparation leaves it.
endpoint_apply() {
  local hosts line kept='' block='' inside=no placed=no
  [ -z "$ENDPOINT_HOSTS_LINE" ] || block=$API_HOSTS_BEGIN$'\n'$ENDPOINT_HOSTS_LINE$'\n'$API_HOSTS_END$'\n'
  slurp hosts /etc/hosts
  while IFS= read -r line; do
    [ "$line" != "$API_HOSTS_BEGIN" ] || inside=yes
    if [ "$line" = '# BEGIN sitewright' ] && [ "$placed" = no ]; then
      kept+=$block placed=yes
      # A block that lost its end is taken up to here.
      inside=no
    fi
    [ "$inside" = yes ] || kept+=$line$'\n'
    [ "$line" != "$API_HOSTS_END" ] || inside=no
  done <<<"${hosts%$'\n'}"
  [ "$placed" = yes ] || kept+=$block
  [ "$kept" = "$hosts" ] || step "$ENDPOINT_NAME in /etc/hosts"
  write_file /etc/hosts 0644 "$kept"
  # A load balancer can only be seen to answer when there is an API server behind it; that its name leads anywhere can be
  # seen before anything is made.
  getent hosts "$ENDPOINT_NAME" >/dev/null ||
    refuse "$ENDPOINT_NAME, the name of the API, does not resolve on this node: add it to the site's DNS, or write the address of the load balancer as kubernetes.endpoint.host"
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

MANIFESTS=(/etc/kubernetes/manifests/{etcd,kube-apiserver,kube-controller-manager,kube-scheduler}.yaml)

remember_applied() {
  local sum
  sum_of sum "${MANIFESTS[@]}"
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
  if [ "${applied%% *}" != "$KUBELET_CONFIG_SUM" ]; then
    run_kubeadm init phase upload-config kubelet --config "$KUBEADM_FILE" || refuse 'kubeadm could not upload the configuration of kubelet; its last words are above'
  fi

  slurp applied "$STATE_FOLDER/control-plane"
  sum_of sum "${MANIFESTS[@]}"
  if [ "$applied" != "$CONTROL_PLANE_SUM $sum" ]; then
    step 'the control plane takes over its changed configuration'
    run_kubeadm init phase upload-config kubeadm --config "$KUBEADM_FILE" || refuse 'kubeadm could not upload its configuration; its last words are above'
    serving_certificate_update
    render_manifests
    for path in "${MANIFESTS[@]}"; do
      component=${path##*/} component=${component%.yaml}
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
  slurp running "${MANIFESTS[0]}"
  slurp rendered "$RENDERED/etcd.yaml"
  while IFS= read -r line; do
    [[ $line != *' --initial-cluster='* && $line != *' --initial-cluster-state='* ]] || members+=("$line")
  done <<<"$running"
  [ "${#members[@]}" -gt 0 ] || return 0
  while IFS= read -r line; do
    case $line in
      *' --initial-cluster='*) printf -v line '%s\n' "${members[@]}" && out+=$line ;;
      *' --initial-cluster-state='*) ;;
      *) out+=$line$'\n' ;;
    esac
  done <<<"${rendered%$'\n'}"
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

# client_certificate KUBECONFIG: what somebody logs in with, as kubeadm and kubelet write it.
client_certificate() {
  local key value
  while read -r key value; do
    case $key in
      client-certificate-data:) base64 -d <<<"$value"; return ;;
      client-certificate:) cat "$value"; return ;;
    esac
  done <"$1"
}

# client_is_valid KUBECONFIG
client_is_valid() { client_certificate "$1" 2>/dev/null | openssl x509 -checkend 0 -noout >/dev/null 2>&1; }

# expired_certificates: sets EXPIRED to the files of this control-plane machine whose certificate has expired or cannot be read.
expired_certificates() {
  local path
  EXPIRED=()
  for path in /etc/kubernetes/pki/{apiserver,apiserver-etcd-client,apiserver-kubelet-client,front-proxy-client,etcd/server,etcd/peer,etcd/healthcheck-client}.crt; do
    [ ! -s "$path" ] || openssl x509 -checkend 0 -noout -in "$path" >/dev/null 2>&1 || EXPIRED+=("$path")
  done
  for path in /etc/kubernetes/{admin,super-admin,controller-manager,scheduler,kubelet}.conf; do
    [ ! -s "$path" ] || client_is_valid "$path" || EXPIRED+=("$path")
  done
}

# expired_problem: sets PROBLEM; empty: this is no control-plane machine of a cluster, or none has expired.
expired_problem() {
  PROBLEM=
  [ -e "$INITIALISED" ] || return 0
  expired_certificates
  [ "${#EXPIRED[@]}" -eq 0 ] ||
    PROBLEM="expired on this machine: ${EXPIRED[*]}. Nothing was changed: renew them with 'sitewright certs $SITE --renew', or correct the machine's clock, and run again"
}

# clock_problem AUTHORITY [early]: sets PROBLEM. Certificates are made and checked by the clock of this machine; a wrong one
# shows as anything but itself. With "early" only a clock before it is one. Fails where openssl does not read it.
clock_problem() {
  local from until now
  PROBLEM=
  from=$(openssl x509 -noout -startdate <<<"$1" 2>/dev/null)
  until=$(openssl x509 -noout -enddate <<<"$1" 2>/dev/null)
  # An empty date is this day.
  if [ -z "$from" ] || [ -z "$until" ] || ! from=$(date -d "${from#*=}" +%s) || ! until=$(date -d "${until#*=}" +%s); then return 1; fi
  printf -v now '%(%s)T' -1
  [ "$now" -lt "$from" ] || { [ "${2:-}" != early ] && [ "$now" -ge "$until" ]; } || return 0
  PROBLEM="the clock of this machine says $(date -u -d "@$now" +%FT%TZ), and the certificate authority of the site is valid from $(date -u -d "@$from" +%FT%TZ) to $(date -u -d "@$until" +%FT%TZ). Nothing was changed: set the clock, and underlay.ntp.servers in the site file where nothing keeps it right"
}

authority() { openssl x509 -noout -subject -pubkey <<<"$1"; }

# refuse_other_authority FILE CERTIFICATE: the one of the file may be older, and no other.
refuse_other_authority() {
  local found one other
  slurp found "$1"
  [ -n "$found" ] && [ "$found" != "$2" ] || return 0
  command -v openssl >/dev/null ||
    refuse "$1 is not as in this site's secrets, and openssl, which tells whether it is the same authority renewed, is not on this machine: install it and run again"
  ! one=$(authority "$found") || ! other=$(authority "$2") || [ "$one" != "$other" ] || return 0
  refuse "$1 is not the certificate authority of this site's secrets: it has another name or key. A member takes its own authority renewed, and no other. Nothing was changed: put the configuration value sitewright:clusterPki back, which earlier versions of the site's Pulumi file have, or take a machine of another cluster out of that one first"
}

refuse_wrong_clock() {
  clock_problem "$CA_CERTIFICATE" ||
    refuse 'openssl does not read the certificate authority of this site: put the configuration value sitewright:clusterPki back'
  [ -z "$PROBLEM" ] || refuse "$PROBLEM"
}

# with_authority: what comes in, with the authority in the place of the one that a kubeconfig in it holds.
with_authority() {
  local data
  data=$(base64 -w 0 < <(printf '%s' "$CA_CERTIFICATE"))
  sed "s#certificate-authority-data: [A-Za-z0-9+/=]*#certificate-authority-data: $data#"
}

kubeconfigs_trust() {
  local path text
  for path in /etc/kubernetes/{admin,super-admin,controller-manager,scheduler,kubelet}.conf; do
    [ -s "$path" ] || continue
    # The dot keeps the line ends.
    text=$(with_authority <"$path" && printf .) || refuse "$path cannot be read"
    write_secret "$path" "${text%.}" authorities
  done
}

# own_node: what the API server says to this node's own credentials: member, stranger, or nothing that can be trusted.
own_node() {
  local said
  said=$(kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout 60s get node "$NODE" -o name 2>&1) && { MEMBERSHIP=member; return; }
  case $said in
    *NotFound* | *Unauthorized* | *'the server has asked for the client to provide credentials'* | *'unable to read client-cert'* | *'certificate has expired'*) MEMBERSHIP=stranger ;;
    *) MEMBERSHIP=unknown SAID=$said && return 1 ;;
  esac
}

# What a member trusts; one that joins is told by the cluster. Asked with an authority that has expired, it would know nobody.
trust() {
  [ -s /etc/kubernetes/kubelet.conf ] && [ -s /var/lib/kubelet/config.yaml ] || return 0
  local file=/etc/kubernetes/pki/ca.crt found
  refuse_other_authority "$file" "$CA_CERTIFICATE"
  slurp found "$file"
  [ "$found" = "$CA_CERTIFICATE" ] || refuse_wrong_clock
  write_file "$file" 0644 "$CA_CERTIFICATE" authorities
  kubeconfigs_trust
}

# membership: a member whose Node somebody deleted registers again when kubelet starts.
membership() {
  MEMBERSHIP=stranger
  # The Node of a control-plane node is there before its etcd and its API server are.
  [ "$PART" = join-worker ] || [ -e "$INITIALISED" ] || return 0
  [ -s /etc/kubernetes/kubelet.conf ] && [ -s /var/lib/kubelet/config.yaml ] || return 0
  wait_for_answer
  [ "$MEMBERSHIP" = stranger ] && [ -z "$TOKEN" ] && systemctl --quiet is-active kubelet.service || return 0
  step "the cluster does not know $NODE: kubelet is restarted, which registers it again"
  systemctl restart kubelet.service >&2
  wait_until 60 "the Node $NODE is registered" is_member
}
is_member() { own_node && [ "$MEMBERSHIP" = member ]; }
wait_for_answer() {
  local begin=$SECONDS
  until own_node; do
    [ $((SECONDS - begin)) -lt "$LIMIT_SECONDS" ] ||
      refuse "this node is a member of a cluster whose API server ($ENDPOINT) does not answer it: $SAID"
    step "waiting until $ENDPOINT answers ($((SECONDS - begin)) s of $LIMIT_SECONDS s)"
    sleep 5
  done
}

join() {
  local file=/run/sitewright/join.yaml
  local -a ignored=()
  if [ "$PART" != join-worker ] && compgen -G '/etc/kubernetes/manifests/*.yaml' >/dev/null; then
    step 'an earlier kubeadm join did not end: it is taken up again'
    ignored=("$TAKEN_UP")
  fi
  systemctl stop kubelet.service >&2
  rm -f /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf /var/lib/kubelet/pki/kubelet-client-*
  [ "$PART" != join-worker ] || rm -f /etc/kubernetes/pki/ca.crt
  mkdir -p "${file%/*}" "$STATE_FOLDER"
  rm -f "$STATE_FOLDER/kubelet-config"
  # shellcheck disable=SC2064 # the path of now
  trap "rm -f '$file'" EXIT
  (umask 077 && printf '%s' "${JOIN_CONFIG//"$TOKEN_PLACE"/"$TOKEN"}" >"$file")
  step 'kubeadm join'
  run_kubeadm join --config "$file" "${ignored[@]}" || refuse 'kubeadm join failed; its last words are above. The next run begins it again'
  rm -f "$file"
  wait_until "$LIMIT_SECONDS" "the Node $NODE is registered" is_member ||
    refuse "kubeadm join ended, and the cluster does not know $NODE: see journalctl -u kubelet on this machine"
  [ "$PART" = join-worker ] || control_plane_joined
}

main() {
  lock "$LIMIT_SECONDS"
  trust
  membership
  if [ "$MEMBERSHIP" = stranger ] && [ -n "$TOKEN" ]; then
    endpoint_apply
    join
  fi
  if [ "$MEMBERSHIP" = member ]; then
    endpoint_apply
    [ -d "$STATE_FOLDER" ] || mkdir -p "$STATE_FOLDER"
    settle authorities restart_kubelet
    systemctl --quiet is-active kubelet.service || restart_kubelet
    kubelet_config_update
  fi
  finish
  local etcd=kept
  [ "$PART" = join-worker ] || [ -d /var/lib/etcd/member ] || etcd=empty
  printf '{"membership": "%s", "etcd": "%s"}\n' "$MEMBERSHIP" "$etcd"
}

main </dev/null
