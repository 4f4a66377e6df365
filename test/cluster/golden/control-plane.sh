# Makes cp1 a node of the control plane. Made by sitewright.
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
WAIT_READY='yes'
KUBELET_CERTIFICATES_PROGRAM='/usr/local/sbin/sitewright-kubelet-certificates'
LEAVING_ANNOTATION='sitewright.internal/leaving'
NODE_MANIFEST='{"apiVersion":"v1","kind":"Node","metadata":{"name":"cp1","labels":{}}}'
TAINTS=('node-role.kubernetes.io/control-plane:NoSchedule')
ENDPOINT_NAME='api.oslo.internal'
ENDPOINT_HOSTS_LINE='192.0.2.10 api.oslo.internal'
VIP_FOLDER='/etc/sitewright/vip'
HAPROXY_UNIT='sitewright-api-proxy'
KEEPALIVED_UNIT='sitewright-vip'
VIP_ADDRESS='192.0.2.10'
VIP_URL_HOST='192.0.2.10'
VIP_NODE_ADDRESS='192.0.2.11'
API_PORT='6443'
INTERFACE_PLACE='@INTERFACE@'
IFS= read -r -d '' VIP_HEALTH <<'END_OF_VIP_HEALTH'
#!/bin/bash
# Made by sitewright. Succeeds while haproxy of this node knows an API server that is ready.
exec 3<>/dev/tcp/127.0.0.1/6444 || exit 1
printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3
read -r -t 5 _ code _ <&3
[ "$code" = 200 ]
END_OF_VIP_HEALTH
IFS= read -r -d '' HAPROXY_CONFIG <<'END_OF_HAPROXY_CONFIG'
# Made by sitewright. Edits are undone by the next run on this node.
global
  user haproxy
  group haproxy
  chroot /var/lib/haproxy
  log stdout format raw local0 notice

defaults
  mode tcp
  log global
  option dontlognull
  option clitcpka
  option srvtcpka
  timeout connect 10s
  timeout client 4h
  timeout server 4h
  timeout check 4s

frontend api
  bind 192.0.2.10:6443 transparent
  default_backend api

backend api
  balance leastconn
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host api.oslo.internal
  http-check expect status 200
  # An API server of another cluster, or one that is shutting down, gets nobody; who was connected comes again.
  default-server check check-ssl verify required ca-file /etc/kubernetes/pki/ca.crt inter 2s rise 2 fall 3 on-marked-down shutdown-sessions
  server cp1 192.0.2.11:6443
  server cp2 192.0.2.12:6443
  server cp3 192.0.2.13:6443

frontend health
  mode http
  timeout client 10s
  bind 127.0.0.1:6444
  monitor-uri /healthz
  monitor fail if { nbsrv(api) eq 0 }
END_OF_HAPROXY_CONFIG
IFS= read -r -d '' KEEPALIVED_CONFIG <<'END_OF_KEEPALIVED_CONFIG'
# Made by sitewright. Edits are undone by the next run on this node.
global_defs {
  enable_script_security
  script_user nobody nogroup
  vrrp_garp_master_refresh 60
}

vrrp_script api {
  script "/etc/sitewright/vip/health"
  interval 2
  timeout 4
  fall 2
  rise 2
  weight -50
}

vrrp_instance api {
  state BACKUP
  interface @INTERFACE@
  virtual_router_id 77
  priority 100
  advert_int 1
  unicast_src_ip 192.0.2.11
  check_unicast_src
  unicast_peer {
    192.0.2.12
    192.0.2.13
  }
  authentication {
    auth_type PASS
    auth_pass 97dc91f1
  }
  virtual_ipaddress {
    192.0.2.10/32
  }
  track_script {
    api
  }
}
END_OF_KEEPALIVED_CONFIG
IFS= read -r -d '' HAPROXY_SERVICE <<'END_OF_HAPROXY_SERVICE'
# Made by sitewright. Edits are undone by the next run on this node.
[Unit]
Description=Leads from the virtual address of the control plane to its API servers
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=/usr/sbin/haproxy -Ws -f /etc/sitewright/vip/haproxy.cfg -p /run/sitewright-api-proxy.pid
ExecReload=/usr/sbin/haproxy -Ws -f /etc/sitewright/vip/haproxy.cfg -c -q
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
Restart=always
RestartSec=2
SuccessExitStatus=143

[Install]
WantedBy=multi-user.target
END_OF_HAPROXY_SERVICE
IFS= read -r -d '' KEEPALIVED_SERVICE <<'END_OF_KEEPALIVED_SERVICE'
# Made by sitewright. Edits are undone by the next run on this node.
[Unit]
Description=Holds the virtual address of the control plane in turn with its peers
After=network-online.target sitewright-api-proxy.service
Wants=network-online.target

[Service]
ExecStart=/usr/sbin/keepalived --dont-fork --log-console --no-syslog --vrrp --use-file=/etc/sitewright/vip/keepalived.conf --pid=/run/sitewright-vip.pid --vrrp_pid=/run/sitewright-vip-vrrp.pid
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target
END_OF_KEEPALIVED_SERVICE
LOCAL_API='192.0.2.11:6443'
PEER_APIS=('192.0.2.12:6443' '192.0.2.13:6443')
INITIALISED='/var/lib/sitewright/cluster/initialised'
TAKEN_UP='--ignore-preflight-errors=DirAvailable--var-lib-etcd,Port-6443,Port-10259,Port-10257,Port-10250,Port-2379,Port-2380,FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml,FileAvailable--etc-kubernetes-manifests-kube-controller-manager.yaml,FileAvailable--etc-kubernetes-manifests-kube-scheduler.yaml,FileAvailable--etc-kubernetes-manifests-etcd.yaml'
KUBERNETES_VERSION='1.36.1'
ETCD_DISK='/dev/disk/by-id/virtio-etcd'
ETCD_FOLDER='/var/lib/etcd'
ETCD_LABEL='sitewright-etcd'
IFS= read -r -d '' ETCD_MOUNT_DROP_IN <<'END_OF_ETCD_MOUNT_DROP_IN'
# Made by sitewright. Edits are undone by the next run on this node.
[Unit]
RequiresMountsFor=/var/lib/etcd
END_OF_ETCD_MOUNT_DROP_IN
IFS= read -r -d '' CA_CERTIFICATE <<'END_OF_CA_CERTIFICATE'
-----BEGIN CERTIFICATE-----
ca
-----END CERTIFICATE-----
END_OF_CA_CERTIFICATE
IFS= read -r -d '' CA_KEY <<'END_OF_CA_KEY'
-----BEGIN PRIVATE KEY-----
key of ca
-----END PRIVATE KEY-----
END_OF_CA_KEY
IFS= read -r -d '' ETCD_CA_CERTIFICATE <<'END_OF_ETCD_CA_CERTIFICATE'
-----BEGIN CERTIFICATE-----
etcd-ca
-----END CERTIFICATE-----
END_OF_ETCD_CA_CERTIFICATE
IFS= read -r -d '' ETCD_CA_KEY <<'END_OF_ETCD_CA_KEY'
-----BEGIN PRIVATE KEY-----
key of etcd-ca
-----END PRIVATE KEY-----
END_OF_ETCD_CA_KEY
IFS= read -r -d '' FRONT_PROXY_CA_CERTIFICATE <<'END_OF_FRONT_PROXY_CA_CERTIFICATE'
-----BEGIN CERTIFICATE-----
front-proxy-ca
-----END CERTIFICATE-----
END_OF_FRONT_PROXY_CA_CERTIFICATE
IFS= read -r -d '' FRONT_PROXY_CA_KEY <<'END_OF_FRONT_PROXY_CA_KEY'
-----BEGIN PRIVATE KEY-----
key of front-proxy-ca
-----END PRIVATE KEY-----
END_OF_FRONT_PROXY_CA_KEY
IFS= read -r -d '' SERVICE_ACCOUNT_PUBLIC_KEY <<'END_OF_SERVICE_ACCOUNT_PUBLIC_KEY'
public key
END_OF_SERVICE_ACCOUNT_PUBLIC_KEY
IFS= read -r -d '' SERVICE_ACCOUNT_KEY <<'END_OF_SERVICE_ACCOUNT_KEY'
private key of service accounts
END_OF_SERVICE_ACCOUNT_KEY
ENCRYPTION_FILE='/etc/kubernetes/sitewright/encryption.yaml'
IFS= read -r -d '' ENCRYPTION_CONFIG <<'END_OF_ENCRYPTION_CONFIG'
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources:
      - secrets
    providers:
      - secretbox:
          keys:
            - name: key1
              secret: YSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcywgaGVyZS4=
      - identity: {}
END_OF_ENCRYPTION_CONFIG
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
AUDIT_LOG_FOLDER='/var/log/kubernetes'
KUBELET_NAMES_FILE='/etc/kubernetes/sitewright/kubelet-names'
IFS= read -r -d '' KUBELET_NAMES <<'END_OF_KUBELET_NAMES'
cp1|DNS:cp1|IP Address:192.0.2.11
w1|DNS:w1|IP Address:192.0.2.21|IP Address:2001:DB8:0:0:0:0:0:21
END_OF_KUBELET_NAMES
IFS= read -r -d '' KUBELET_CERTIFICATES_TEXT <<'END_OF_KUBELET_CERTIFICATES_TEXT'
#!/bin/bash
# Made by sitewright. Edits are undone by the next run on this node.
# Lets the nodes of the site have certificates of the cluster for their own names: what waits in kubectl get csr.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
NAMES=/etc/kubernetes/sitewright/kubelet-names

ask() { kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 60s "$@"; }

# refusal REQUEST: sets WHY, empty where the request is to be approved. Returns 1 where it is decided already.
refusal() {
  local fields usages conditions request user line node='' subject text sans='' count=0 san name found=no
  local -a allowed=() wanted=()
  # The user comes last, with a word after it: whatever it holds, nothing else is read from it.
  fields=$(ask get "$1" -o 'jsonpath={.spec.usages[*]}|{.status.conditions[*].type}|{.spec.request}|{.spec.username}|end') || return 1
  IFS='|' read -r -d '' usages conditions request user <<<"$fields"
  user=${user%$'\n'}
  [ -z "$conditions" ] || return 1

  while IFS= read -r line; do
    if [ "$user" = "system:node:${line%%|*}|end" ]; then
      node=${line%%|*}
      IFS='|' read -r -a allowed <<<"${line#*|}"
    fi
  done <"$NAMES"
  WHY='it is of no node of this site'
  [ -n "$node" ] || return 0

  # In any order; kubelet asks for key encipherment with an RSA key only.
  line=${usages/digital signature/} line=${line/key encipherment/} line=${line/server auth/}
  WHY="it is to be used for: $usages"
  [[ $usages = *'server auth'* && -z ${line// /} ]] || return 0

  WHY='it is not of the form that kubelet gives it'
  subject=$(base64 -d <<<"$request" | openssl req -noout -subject -nameopt RFC2253) || return 0
  case $subject in
    "subject=CN=system:node:$node,O=system:nodes" | "subject=O=system:nodes,CN=system:node:$node") ;;
    *) return 0 ;;
  esac
  text=$(base64 -d <<<"$request" | openssl req -noout -text) || return 0
  while IFS= read -r line; do
    if [ "$found" = yes ]; then sans=$line; fi
    found=no
    if [[ $line =~ ^\ *X509v3\ Subject\ Alternative\ Name: ]]; then found=yes count=$((count + 1)); fi
  done <<<"$text"
  [ "$count" = 1 ] || return 0

  sans=${sans#"${sans%%[! ]*}"}
  mapfile -t wanted <<<"${sans//, /$'\n'}"
  for san in "${wanted[@]}"; do
    found=no
    for name in "${allowed[@]}"; do [ "$san" != "$name" ] || found=yes; done
    WHY="it is for $san, which is not a name of $node"
    [ "$found" = yes ] || return 0
  done
  WHY=
}

main() {
  local requests request
  requests=$(ask get certificatesigningrequests --field-selector spec.signerName=kubernetes.io/kubelet-serving -o name) || exit 1
  for request in $requests; do
    refusal "$request" || continue
    if [ -z "$WHY" ]; then
      ask certificate approve "${request#*/}" || exit 1
    else
      echo "$request stays undecided: $WHY"
    fi
  done
}
main
END_OF_KUBELET_CERTIFICATES_TEXT
KUBELET_CERTIFICATES_UNIT='sitewright-kubelet-certificates'
IFS= read -r -d '' KUBELET_CERTIFICATES_SERVICE <<'END_OF_KUBELET_CERTIFICATES_SERVICE'
# Made by sitewright. Edits are undone by the next run on this node.
[Unit]
Description=Lets the nodes of the site have certificates for their own names
ConditionPathExists=/etc/kubernetes/admin.conf

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/sitewright-kubelet-certificates
END_OF_KUBELET_CERTIFICATES_SERVICE
IFS= read -r -d '' KUBELET_CERTIFICATES_TIMER <<'END_OF_KUBELET_CERTIFICATES_TIMER'
# Made by sitewright. Edits are undone by the next run on this node.
[Unit]
Description=Lets the nodes of the site renew their certificates

[Timer]
OnBootSec=3min
OnUnitInactiveSec=5min

[Install]
WantedBy=timers.target
END_OF_KUBELET_CERTIFICATES_TIMER
SITE='oslo'
SNAPSHOT_UNIT='sitewright-etcd-snapshot'
SNAPSHOT_FOLDER='/mnt/backup'
SNAPSHOT_SCRIPT_FILE='/usr/local/sbin/sitewright-etcd-snapshot'
IFS= read -r -d '' SNAPSHOT_SCRIPT <<'END_OF_SNAPSHOT_SCRIPT'
#!/bin/bash
# Takes a snapshot of etcd on cp1. Made by sitewright.
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

SITE='oslo'
NODE='cp1'
IFS= read -r -d '' PUBLIC_KEY <<'END_OF_PUBLIC_KEY'
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VuAyEAI6tnkRqZd+TYEGeYaSaQLPEaey9bTpKDdgqDc0gcCls=
-----END PUBLIC KEY-----
END_OF_PUBLIC_KEY
ENCRYPTION_FILE='/etc/kubernetes/sitewright/encryption.yaml'
FORMAT='sitewright-etcd-snapshot-1'
SUFFIX='.etcd-snapshot'
FOLDER='/mnt/backup'
KEEP='8'
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

# snapshot_status FILE: HASH, REVISION and KEYS of a snapshot; false where etcd does not take it for one.
snapshot_status() {
  local status
  status=$(etcdutl snapshot status "$1" --write-out json) || return 1
  [[ $status =~ \"hash\":([0-9]+) ]] && printf -v HASH '%08x' "${BASH_REMATCH[1]}" &&
    [[ $status =~ \"revision\":([0-9]+) ]] && REVISION=${BASH_REMATCH[1]} &&
    [[ $status =~ \"totalKey\":([0-9]+) ]] && KEYS=${BASH_REMATCH[1]}
}

WORK=/var/lib/sitewright/etcd-snapshot

forget_work() { rm -rf "$WORK"; }

take() {
  command -v openssl >/dev/null || refuse 'openssl is missing: install the package openssl on this machine'
  step 'takes a snapshot of etcd'
  # A snapshot has no limit of its own: of an etcd that does not answer it would wait for ever.
  etcdctl_here 60 endpoint health >&2 || refuse 'etcd on this machine does not answer; the message of etcdctl is above'
  etcdctl_here 60 snapshot save "$WORK/snapshot.db" >&2 ||
    refuse 'etcd on this machine gave no snapshot; the message of etcdctl is above'
  snapshot_status "$WORK/snapshot.db" || refuse 'the snapshot is not whole: etcdutl does not take it'
}

# What a reader is told without the key.
describe() {
  local now sum version line keys=''
  printf -v now '%(%Y-%m-%dT%H:%M:%SZ)T' -1
  sum=$(sha256sum "$WORK/snapshot.db")
  version=$(kubectl version --client --output json)
  [[ $version =~ \"gitVersion\":\ *\"([^\"]*)\" ]] && version=${BASH_REMATCH[1]} || version=unknown
  while read -r line; do
    [[ ! $line =~ ^-?\ *name:\ (.*)$ ]] || keys+="${keys:+, }\"${BASH_REMATCH[1]}\""
  done <"$ENCRYPTION_FILE"
  printf '{"site": "%s", "node": "%s", "taken": "%s", "kubernetes": "%s", "revision": %d, "hash": "%s", "keys": %d, "sizeBytes": %d, "sha256": "%s", "encryptionKeys": [%s], "publicKey": "%s"}\n' \
    "$SITE" "$NODE" "$now" "$version" "$REVISION" "$HASH" "$KEYS" "$(stat -c %s "$WORK/snapshot.db")" "${sum%% *}" "$keys" \
    "$(openssl pkey -in "$WORK/key.pem" -pubout -outform DER | base64 -w 0)"
}

# A key of its own for every file: what this machine keeps opens none of them.
encrypt() {
  printf '%s' "$PUBLIC_KEY" >"$WORK/recipient.pem"
  openssl genpkey -algorithm X25519 -out "$WORK/key.pem" &&
    openssl pkeyutl -derive -inkey "$WORK/key.pem" -peerkey "$WORK/recipient.pem" | od -An -v -tx1 | tr -d ' \n' >"$WORK/secret" &&
    [ "$(stat -c %s "$WORK/secret")" -eq 64 ] || refuse 'openssl could not make a key for this snapshot; its message is above'
  printf '%s\n' "$FORMAT" && describe &&
    openssl enc -aes-256-ctr -pbkdf2 -pass "file:$WORK/secret" -in "$WORK/snapshot.db"
}

# Whole or not at all: a reader of the folder, or a restore, must not take half a file for a snapshot.
to_folder() {
  local name now
  [ -d "$FOLDER" ] || refuse "$FOLDER is not there: mount or make it (kubernetes.etcd.snapshots.directory)"
  printf -v now '%(%Y%m%dT%H%M%SZ)T' -1
  name=$FOLDER/$SITE.$NODE
  rm -f "$name".*.partial
  encrypt >"$name.$now.partial" && sync "$name.$now.partial" && mv -f "$name.$now.partial" "$name.$now$SUFFIX" || {
    rm -f "$name.$now.partial"
    refuse "$FOLDER: the snapshot could not be written; is there room, and may root write?"
  }
  step "wrote $name.$now$SUFFIX: revision $REVISION, hash $HASH"
  prune "$name"
}

# Names sort as their times do.
prune() {
  local -a all=("$1".*"$SUFFIX")
  while [ "${#all[@]}" -gt "$KEEP" ]; do
    step "removes ${all[0]}"
    rm -f "${all[0]}"
    all=("${all[@]:1}")
  done
}

main() {
  umask 077
  mkdir -p "${WORK%/*}"
  exec 8>/run/sitewright-etcd-snapshot.lock
  flock -w 600 8 || refuse 'another snapshot is being taken on this machine, for 10 minutes now: see ps -ef'
  # Of a run that was killed.
  forget_work
  trap forget_work EXIT
  mkdir "$WORK"
  take
  if [ -n "$FOLDER" ]; then to_folder; else encrypt; fi
}

main </dev/null
END_OF_SNAPSHOT_SCRIPT
IFS= read -r -d '' SNAPSHOT_SERVICE <<'END_OF_SNAPSHOT_SERVICE'
# Made by sitewright. Edits are undone by the next run on this node.
[Unit]
Description=Encrypted snapshot of etcd
After=kubelet.service

[Service]
Type=oneshot
Nice=10
IOSchedulingClass=idle
ExecStart=/bin/bash /usr/local/sbin/sitewright-etcd-snapshot
END_OF_SNAPSHOT_SERVICE
IFS= read -r -d '' SNAPSHOT_TIMER <<'END_OF_SNAPSHOT_TIMER'
# Made by sitewright. Edits are undone by the next run on this node.
[Unit]
Description=Time for an encrypted snapshot of etcd

[Timer]
OnActiveSec=5min
OnUnitActiveSec=21600s
RandomizedDelaySec=300s

[Install]
WantedBy=timers.target
END_OF_SNAPSHOT_TIMER
RESTORE_FOLDER='/var/lib/sitewright/etcd-restore'
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
CONTROL_PLANE_SUM='75f36962db6b94b4fcb21e6422290c3e670d0b2423f85a699111eba1787de29b'
SERVING_CERTIFICATE_SUM='9b65941e6e096c9cd5a4c67031e19d37cdf7591974a8df7d07c4deff1dfa5540'

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

etcd_disk_apply() {
  [ -n "$ETCD_DISK" ] || return 0
  step 'disk of etcd'
  [ -b "$ETCD_DISK" ] || refuse "$ETCD_DISK is not there: attach the disk of etcd to this machine again"
  local found code type label intent=/var/lib/sitewright/formatting-etcd-disk

  found=$(blkid -p -o export "$ETCD_DISK")
  code=$?
  [[ $found =~ (^|$'\n')TYPE=([^$'\n']*) ]] && type=${BASH_REMATCH[2]}
  [[ $found =~ (^|$'\n')LABEL=([^$'\n']*) ]] && label=${BASH_REMATCH[2]}
  if [ "$code" -eq 0 ] && [ ! -e "$intent" ]; then
    [ "${type-}:${label-}" = "ext4:$ETCD_LABEL" ] ||
      refuse "$ETCD_DISK holds ${type:-something} labelled '${label-}', which the kit did not make: save what is on it, then clear it with 'wipefs --all $ETCD_DISK'"
  elif [ "$code" -eq 0 ] || [ "$code" -eq 2 ]; then
    # No signature does not mean no data. What begins with zeros is blank, or was when an interrupted run began to format it.
    [ -e "$intent" ] || cmp -s -n 4194304 "$ETCD_DISK" /dev/zero ||
      refuse "$ETCD_DISK has no file system, and is not blank either: save what is on it, then clear it with 'blkdiscard --zeroout $ETCD_DISK'"
    [ ! -d "$ETCD_FOLDER/member" ] ||
      refuse "$ETCD_FOLDER on the root disk holds the data of an etcd, and the new disk would hide it: move the data to the disk by hand"
    audit "$ETCD_DISK" blank "ext4 $ETCD_LABEL"
    mkdir -p "${intent%/*}" && : >"$intent" && sync "$intent"
    mkfs.ext4 -q -F -m 0 -L "$ETCD_LABEL" "$ETCD_DISK" >&2 || refuse "mkfs.ext4 $ETCD_DISK failed; its message is above"
    rm -f "$intent"
  else
    refuse "blkid cannot say what is on $ETCD_DISK (exit code $code): it may hold data, so it is left alone"
  fi

  # Without nofail a machine whose disk is missing would not come up far enough for anyone to log in. It comes up then
  # without kubelet, which needs the mount: with it, an empty etcd on the root disk would pass for the cluster.
  write_file /etc/systemd/system/kubelet.service.d/20-sitewright-etcd.conf 0644 "$ETCD_MOUNT_DROP_IN" daemon-reload
  local fstab line out=''
  slurp fstab /etc/fstab
  while IFS= read -r line; do
    [[ $line =~ ^[^#[:space:]]+[[:space:]]+${ETCD_FOLDER}[[:space:]] ]] || out+=$line$'\n'
  done <<<"${fstab%$'\n'}"
  out=${out#$'\n'}"$ETCD_DISK $ETCD_FOLDER ext4 noatime,nofail,x-systemd.growfs 0 2"$'\n'
  write_file /etc/fstab 0644 "$out" daemon-reload
  settle daemon-reload systemctl daemon-reload
  if ! mountpoint -q "$ETCD_FOLDER"; then
    [ -z "$(ls -A "$ETCD_FOLDER" 2>/dev/null)" ] ||
      refuse "$ETCD_FOLDER is not empty and the disk of etcd is not mounted there: look what is in it, and move it away"
    systemctl start "$(systemd-escape --path --suffix=mount "$ETCD_FOLDER")" >&2
  fi
  # Empty, as fsck makes it anew where it needs it; kubeadm wants an empty folder.
  [ ! -d "$ETCD_FOLDER/lost+found" ] || rmdir "$ETCD_FOLDER/lost+found" 2>/dev/null
  chmod 0700 "$ETCD_FOLDER"
  [ "$ETCD_DISK" -ef "$(findmnt -n -o SOURCE --mountpoint "$ETCD_FOLDER")" ] ||
    refuse "$ETCD_FOLDER is not on $ETCD_DISK: see systemctl status $(systemd-escape --path --suffix=mount "$ETCD_FOLDER")"
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

kubelet_certificates_apply() {
  local unit=$KUBELET_CERTIFICATES_UNIT.timer
  step 'certificates of kubelets'
  write_file "$KUBELET_NAMES_FILE" 0600 "$KUBELET_NAMES"
  write_file "$KUBELET_CERTIFICATES_PROGRAM" 0755 "$KUBELET_CERTIFICATES_TEXT"
  write_file "/etc/systemd/system/$KUBELET_CERTIFICATES_UNIT.service" 0644 "$KUBELET_CERTIFICATES_SERVICE" "$unit"
  write_file "/etc/systemd/system/$unit" 0644 "$KUBELET_CERTIFICATES_TIMER" "$unit"
  if is_pending "$unit"; then
    systemctl daemon-reload >&2
    settle "$unit" systemctl enable --now "$unit"
  fi
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

# The running API server lets haproxy have its port on another address.
port_is_shared() { grep -q -e '--permit-port-sharing=true' /etc/kubernetes/manifests/kube-apiserver.yaml 2>/dev/null; }

vip_apply() {
  [ -n "$VIP_ADDRESS" ] || { vip_remove; return; }
  step "virtual address $VIP_ADDRESS"
  [ -e "/etc/systemd/system/$KEEPALIVED_UNIT.service" ] || refuse_used_vip
  local interface
  read -r _ interface _ < <(ip -o address show to "$VIP_NODE_ADDRESS")
  [ -n "$interface" ] || refuse "no interface of this node has $VIP_NODE_ADDRESS"
  write_file "$VIP_FOLDER/health" 0755 "$VIP_HEALTH"
  write_file "$VIP_FOLDER/haproxy.cfg" 0644 "$HAPROXY_CONFIG" "$HAPROXY_UNIT"
  write_secret "$VIP_FOLDER/keepalived.conf" "${KEEPALIVED_CONFIG//"$INTERFACE_PLACE"/"${interface%%@*}"}" "$KEEPALIVED_UNIT"
  haproxy -c -q -f "$VIP_FOLDER/haproxy.cfg" >&2 || refuse "haproxy does not take $VIP_FOLDER/haproxy.cfg; its message is above"
  write_file "/etc/systemd/system/$HAPROXY_UNIT.service" 0644 "$HAPROXY_SERVICE" "$HAPROXY_UNIT"
  write_file "/etc/systemd/system/$KEEPALIVED_UNIT.service" 0644 "$KEEPALIVED_SERVICE" "$KEEPALIVED_UNIT"
  vip_service "$HAPROXY_UNIT"
  vip_service "$KEEPALIVED_UNIT"
  wait_until "$LIMIT_SECONDS" "$VIP_ADDRESS is held" vip_is_held ||
    refuse "nobody holds $VIP_ADDRESS: see journalctl -u $KEEPALIVED_UNIT -u $HAPROXY_UNIT on this machine"
}

# A reload lets connections go on, and the address stays where it is.
vip_service() {
  if is_pending "$1"; then
    systemctl daemon-reload >&2
    settle "$1" systemctl reload-or-restart "$1.service"
  fi
  enable_unit "$1"
  systemctl --quiet is-active "$1.service" || settle_now "$1" systemctl start "$1.service"
}

# haproxy of the holder takes the connection, also before there is an API server.
vip_is_held() { timeout 10 bash -c "exec 7<>/dev/tcp/$VIP_ADDRESS/$API_PORT"; }

# Before this node announces the address for the first time. A peer that holds it already has a certificate of this cluster
# for it; its API server may just have begun anew.
refuse_used_vip() {
  ping -c 2 -W 2 -q "$VIP_ADDRESS" >/dev/null 2>&1 || return 0
  wait_until "$((LIMIT_SECONDS / 15))" "a peer answers at $VIP_ADDRESS" vip_is_of_peer ||
    refuse "$VIP_ADDRESS, the virtual address of the control plane, is somebody else's: another machine answers there; set kubernetes.vip to an unused address"
}

vip_is_of_peer() { is_of_cluster 60 /etc/kubernetes/pki/ca.crt "$VIP_URL_HOST:$API_PORT" -verify_ip "$VIP_ADDRESS"; }

vip_remove() {
  local unit
  for unit in "$KEEPALIVED_UNIT" "$HAPROXY_UNIT"; do
    [ -e "/etc/systemd/system/$unit.service" ] || continue
    audit "unit $unit" enabled removed
    systemctl disable --now "$unit.service" >&2 || refuse "$unit.service cannot be stopped; the message of systemctl is above"
    rm -f "/etc/systemd/system/$unit.service"
  done
  rm -rf "$VIP_FOLDER"
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

snapshot_timer_apply() {
  local unit=$SNAPSHOT_UNIT units=/etc/systemd/system
  if [ -z "$SNAPSHOT_TIMER" ]; then
    [ -e "$units/$unit.timer" ] || return 0
    audit "unit $unit.timer" enabled removed
    systemctl disable --now "$unit.timer" >&2
    rm -f "$units/$unit.timer" "$units/$unit.service" "$SNAPSHOT_SCRIPT_FILE"
    systemctl daemon-reload >&2
    return
  fi
  step 'timer of snapshots of etcd'
  [ -d "$SNAPSHOT_FOLDER" ] ||
    problem "$SNAPSHOT_FOLDER" 'a folder' nothing 'snapshots of etcd go there: mount or make it, or change kubernetes.etcd.snapshots.directory'
  write_file "$SNAPSHOT_SCRIPT_FILE" 0755 "$SNAPSHOT_SCRIPT"
  write_file "$units/$unit.service" 0644 "$SNAPSHOT_SERVICE" "$unit"
  write_file "$units/$unit.timer" 0644 "$SNAPSHOT_TIMER" "$unit"
  [ -e "$units/timers.target.wants/$unit.timer" ] || pending "$unit"
  is_pending "$unit" || return 0
  systemctl daemon-reload >&2
  systemctl enable "$unit.timer" >&2 || problem "unit $unit.timer" enabled disabled 'systemctl enable failed; its message is above'
  settle "$unit" systemctl restart "$unit.timer"
}

# repair_control_plane: what is needed for an API server to run, and is there, stays as it is; kubeadm writes what is
# missing, and static pods that are not those it wrote last.
repair_control_plane() {
  local unit phase applied sum path name
  step 'the API server does not answer: looks at what it needs'
  # etcd would begin an empty cluster in the place of the one that was here.
  [ -d "$ETCD_FOLDER/member" ] ||
    refuse "the data of etcd is gone from this machine ($ETCD_FOLDER/member): 'sitewright etcd restore $SITE' brings back a snapshot; a machine beside other control-plane nodes is declared 'state: dead' and added again"
  for unit in containerd kubelet; do
    systemctl --quiet is-active "$unit.service" && continue
    audit "unit $unit" stopped started
    systemctl start "$unit.service" >&2
  done
  for phase in 'certs all' 'kubeconfig all'; do
    # shellcheck disable=SC2086 # two words
    run_kubeadm init phase $phase --config "$KUBEADM_FILE" || refuse "kubeadm could not see to $phase; its last words are above"
  done
  slurp applied "$STATE_FOLDER/control-plane"
  sum_of sum "${MANIFESTS[@]}"
  [ "${applied#* }" != "$sum" ] || return 0
  step 'the static pods of the control plane are missing or were changed: kubeadm writes them again'
  render_manifests
  for path in "${MANIFESTS[@]}"; do
    name=${path##*/}
    cmp -s "$RENDERED/$name" "$path" || { audit "$path" 'missing or changed' 'as planned' && chmod 0600 "$RENDERED/$name" && mv -f "$RENDERED/$name" "$path"; }
  done
  rm -rf "$RENDERED"
  sum_of sum "${MANIFESTS[@]}"
  remember control-plane "${applied%% *} $sum"
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

# Most of what runs has read the authority at its start. What does not run now reads it when it starts.
authorities_take_over() {
  local part id
  is_pending authorities || return 0
  step 'the control plane takes over its renewed authorities'
  for part in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    id=$(running "$part")
    [ -n "$id" ] || continue
    restart_static_pod "$part" "$id"
    # It asks etcd too: the next part, and the next node, lose neither.
    [ "$part" != kube-apiserver ] || wait_until "$LIMIT_SECONDS" 'the API server of this node answers' api_here || api_problem
  done
  [ -z "$VIP_ADDRESS" ] || pending "$HAPROXY_UNIT"
  restart_kubelet
  settled authorities
}

# What a machine that joins trusts. The controller manager signs it again by itself.
cluster_info_trust() {
  local found fresh
  found=$(admin_kubectl -n kube-public get configmap cluster-info --ignore-not-found -o json) ||
    refuse 'the API server does not give the ConfigMap cluster-info; its message is above'
  fresh=$(with_authority <<<"$found")
  [ "$fresh" != "$found" ] || return 0
  audit 'ConfigMap cluster-info' 'another authority' 'the one of this site'
  admin_kubectl replace -f - <<<"$fresh" >&2 || refuse 'the ConfigMap cluster-info could not be written; the message of kubectl is above'
}

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
  for peer in "${PEER_APIS[@]}"; do
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
  chmod 0700 "$AUDIT_LOG_FOLDER" "${ENCRYPTION_FILE%/*}" "${KUBEADM_FILE%/*}" "$pki"
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
    ! run_kubeadm init --config "$KUBEADM_FILE" --skip-phases=addon,show-join-command --skip-token-print "${INIT_FLAGS[@]}" || break
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

main </dev/null
