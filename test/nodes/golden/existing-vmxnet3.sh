# Prepares node-b of site oslo as a Kubernetes node. Made by sitewright.
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
# Client address, client port, address and port that this session came to.
read -r _ _ SESSION_HOST _ <<<"${1-${SSH_CONNECTION-}}"
read -r KERNEL </proc/sys/kernel/osrelease

SITE='oslo'
STAMP_ID='4f9d3c1e8a7b6c5d'
MADE_BY_KIT='no'
PACKAGES=('ip iproute2' 'modprobe kmod' 'sysctl procps' 'ethtool ethtool' 'ping iputils-ping' 'python3 python3' 'tcpdump tcpdump' 'conntrack conntrack')
NEEDED_VERSIONS=()
MODULES=('br_netfilter' 'nf_conntrack' 'vxlan')
IFS= read -r -d '' MODULES_CONTENT <<'END_OF_MODULES_CONTENT'
# Made by sitewright. Edits are undone by the next preparation of this node.
# bridged packets meet the rules of Services
br_netfilter
# Services and masquerading
nf_conntrack
# tunnels between all nodes
vxlan
END_OF_MODULES_CONTENT
SYSCTL_KEYS=('net.ipv4.ip_forward' 'net.bridge.bridge-nf-call-iptables' 'net.netfilter.nf_conntrack_max' 'net.ipv4.ip_local_port_range')
SYSCTL_PATHS=('net/ipv4/ip_forward' 'net/bridge/bridge-nf-call-iptables' 'net/netfilter/nf_conntrack_max' 'net/ipv4/ip_local_port_range')
SYSCTL_VALUES=('1' '1' '131072' '20000 60999')
IFS= read -r -d '' SYSCTL_CONTENT <<'END_OF_SYSCTL_CONTENT'
# Made by sitewright. Edits are undone by the next preparation of this node.
# a node forwards the packets of its pods
net.ipv4.ip_forward = 1
# bridged packets meet the rules of Services
net.bridge.bridge-nf-call-iptables = 1
# connections of a node with 4 cores
net.netfilter.nf_conntrack_max = 131072
# given by the site
net.ipv4.ip_local_port_range = 20000 60999
END_OF_SYSCTL_CONTENT
INGRESS_PORTS=()
SWAP='keep'
NTP_SERVERS=()
CHRONY_SOURCES=''
IFS= read -r -d '' TIMESYNCD_CONF <<'END_OF_TIMESYNCD_CONF'
# Made by sitewright. Edits are undone by the next preparation of this node.
[Time]
NTP=
NTP=
END_OF_TIMESYNCD_CONF
JOURNALD_MAX_USE_BYTES='524288000'
IFS= read -r -d '' JOURNALD_CONF <<'END_OF_JOURNALD_CONF'
# Made by sitewright. Edits are undone by the next preparation of this node.
[Journal]
SystemMaxUse=524288000
END_OF_JOURNALD_CONF
IF_NAME=''
IF_MAC=''
IF_MTU_BYTES='1500'
ADDRESSES=('192.0.2.12/24')
GATEWAYS=()
ROUTES=()
DNS_SERVERS=()
IFS= read -r -d '' RESOLV_CONF <<'END_OF_RESOLV_CONF'
# Made by sitewright. Edits are undone by the next preparation of this node.
END_OF_RESOLV_CONF
IFS= read -r -d '' NETWORK_LINK <<'END_OF_NETWORK_LINK'
[Link]
MTUBytes=1500
END_OF_NETWORK_LINK
IFS= read -r -d '' NETWORK_BODY <<'END_OF_NETWORK_BODY'
KeepConfiguration=static
Address=192.0.2.12/24
END_OF_NETWORK_BODY
IFS= read -r -d '' NETWORKD_CONF <<'END_OF_NETWORKD_CONF'
[Network]
ManageForeignRoutes=no
ManageForeignRoutingPolicyRules=no
END_OF_NETWORKD_CONF
IFS= read -r -d '' CLOUD_CFG <<'END_OF_CLOUD_CFG'
# The network belongs to sitewright once the machine has started.
network: {config: disabled}
END_OF_CLOUD_CFG
OFFLOAD_RULES='nic vmxnet3 - - -K lro off
nic vmxnet3 - - -G rx 1024
nic vmxnet3 - - -K tx-udp_tnl-segmentation off
nic vmxnet3 - - -K tx-udp_tnl-csum-segmentation off'
IFS= read -r -d '' OFFLOAD_HELPER_TEXT <<'END_OF_OFFLOAD_HELPER_TEXT'
#!/bin/bash
# Made by sitewright. Edits are undone by the next preparation of this node.
# udev runs this when a network device appears: sitewright-offloads <device> <name in the rules>
RULES='nic vmxnet3 - - -K lro off
nic vmxnet3 - - -G rx 1024
nic vmxnet3 - - -K tx-udp_tnl-segmentation off
nic vmxnet3 - - -K tx-udp_tnl-csum-segmentation off'

# driver_of VARIABLE DEVICE: as ethtool -i names it. Virtual devices have no driver folder, only a kind.
driver_of() {
  local line=''
  if [ -e "/sys/class/net/$2/device/uevent" ]; then
    while read -r line; do [[ $line != DRIVER=* ]] || break; done <"/sys/class/net/$2/device/uevent"
    printf -v "$1" '%s' "${line#DRIVER=}"
  else
    line=$(ethtool -i "$2" 2>/dev/null)
    line=${line#driver: }
    printf -v "$1" '%s' "${line%%$'\n'*}"
  fi
}

# kernel_within MIN MAX (or -): a bound of two numbers covers every patch release of it.
kernel_within() {
  local kernel bound=$1 side=1 i
  local -a have want
  read -r kernel </proc/sys/kernel/osrelease
  IFS=. read -r -a have <<<"${kernel%%[-+]*}"
  for bound in "$1" "$2"; do
    if [ "$bound" != - ]; then
      IFS=. read -r -a want <<<"$bound"
      for i in "${!want[@]}"; do
        [ $((side * (${have[i]:-0} - want[i]))) -ge 0 ] || return 1
        [ "${have[i]:-0}" -eq "${want[i]}" ] || break
      done
    fi
    side=-1
  done
}

# ethtool -k shows some features under another name than -K takes.
shown_name() {
  case $1 in
    rx) echo rx-checksumming ;;
    tx) echo tx-checksumming ;;
    sg) echo scatter-gather ;;
    tso) echo tcp-segmentation-offload ;;
    gso) echo generic-segmentation-offload ;;
    gro) echo generic-receive-offload ;;
    lro) echo large-receive-offload ;;
    rxvlan) echo rx-vlan-offload ;;
    txvlan) echo tx-vlan-offload ;;
    ntuple) echo ntuple-filters ;;
    rxhash) echo receive-hashing ;;
    *) echo "$1" ;;
  esac
}

# offload_values RULES DEVICE ROLE FUNCTION: for every rule (device driver kernel-min kernel-max option name value) that
# fits the device, FUNCTION DEVICE OPTION NAME WANTED FOUND. FOUND is empty where the device does not know the name.
offload_values() {
  local rule device driver min max option name value shown features='' rings='' found own_driver=''
  while IFS= read -r rule; do
    read -r device driver min max option name value <<<"$rule"
    [ "$device" = "$3" ] || continue
    kernel_within "$min" "$max" || continue
    [ -n "$own_driver" ] || driver_of own_driver "$2"
    [ "$driver" = - ] || [ "$driver" = "$own_driver" ] || continue
    found=''
    if [ "$option" = -K ]; then
      [ -n "$features" ] || features=$(ethtool -k "$2" 2>/dev/null)
      shown=$(shown_name "$name")
      [[ $features =~ [[:space:]]"$shown":\ ([a-z]+) ]] && found=${BASH_REMATCH[1]}
    else
      [ -n "$rings" ] || rings=$(ethtool -g "$2" 2>/dev/null)
      [[ ${rings#*Current hardware settings} =~ $'\n'${name^^}:[[:space:]]*([0-9]+) ]] && found=${BASH_REMATCH[1]}
    fi
    "$4" "$2" "$option" "$name" "$value" "$found"
  done <<<"$1"
}

# offload_differs DEVICE OPTION NAME WANTED FOUND. "off" of what the device does not have is what is wanted. Drivers round
# a ring up (vmxnet3 to a multiple of 96 with an MTU of 9000), so up to an eighth more than wanted is what is wanted.
offload_differs() {
  [ "$4" != "$5" ] && [ "$4:$5" != off: ] || return 1
  [ "$2" != -G ] || [ -z "$5" ] || [ "$5" -lt "$4" ] || [ "$5" -gt $(($4 + $4 / 8)) ]
}

set_value() { ! offload_differs "$@" || ethtool "$2" "$1" "$3" "$4"; }

offload_values "$RULES" "$1" "$2" set_value
END_OF_OFFLOAD_HELPER_TEXT
IFS= read -r -d '' HOSTS_BLOCK <<'END_OF_HOSTS_BLOCK'
192.0.2.11 node-a
192.0.2.12 node-b
2001:db8::11 node-a
END_OF_HOSTS_BLOCK
INITIALISED='/var/lib/sitewright/cluster/initialised'
STAMP_FILE='/etc/sitewright/stamp.json'
AUDIT_LOG='/var/log/sitewright/audit.log'
MODULES_FILE='/etc/modules-load.d/k8s-net.conf'
SYSCTL_FILE='/etc/sysctl.d/k8s-net.conf'
OWN_NETWORK_FILE='/etc/systemd/network/05-sitewright.network'
OFFLOAD_HELPER='/usr/local/sbin/sitewright-offloads'
UDEV_RULES_FILE='/etc/udev/rules.d/90-sitewright-offloads.rules'
MASKED_UNITS='/etc/sitewright/masked-units'
HOSTS_BEGIN='# BEGIN sitewright'
HOSTS_END='# END sitewright'
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

# driver_of VARIABLE DEVICE: as ethtool -i names it. Virtual devices have no driver folder, only a kind.
driver_of() {
  local line=''
  if [ -e "/sys/class/net/$2/device/uevent" ]; then
    while read -r line; do [[ $line != DRIVER=* ]] || break; done <"/sys/class/net/$2/device/uevent"
    printf -v "$1" '%s' "${line#DRIVER=}"
  else
    line=$(ethtool -i "$2" 2>/dev/null)
    line=${line#driver: }
    printf -v "$1" '%s' "${line%%$'\n'*}"
  fi
}

# kernel_within MIN MAX (or -): a bound of two numbers covers every patch release of it.
kernel_within() {
  local kernel bound=$1 side=1 i
  local -a have want
  read -r kernel </proc/sys/kernel/osrelease
  IFS=. read -r -a have <<<"${kernel%%[-+]*}"
  for bound in "$1" "$2"; do
    if [ "$bound" != - ]; then
      IFS=. read -r -a want <<<"$bound"
      for i in "${!want[@]}"; do
        [ $((side * (${have[i]:-0} - want[i]))) -ge 0 ] || return 1
        [ "${have[i]:-0}" -eq "${want[i]}" ] || break
      done
    fi
    side=-1
  done
}

# ethtool -k shows some features under another name than -K takes.
shown_name() {
  case $1 in
    rx) echo rx-checksumming ;;
    tx) echo tx-checksumming ;;
    sg) echo scatter-gather ;;
    tso) echo tcp-segmentation-offload ;;
    gso) echo generic-segmentation-offload ;;
    gro) echo generic-receive-offload ;;
    lro) echo large-receive-offload ;;
    rxvlan) echo rx-vlan-offload ;;
    txvlan) echo tx-vlan-offload ;;
    ntuple) echo ntuple-filters ;;
    rxhash) echo receive-hashing ;;
    *) echo "$1" ;;
  esac
}

# offload_values RULES DEVICE ROLE FUNCTION: for every rule (device driver kernel-min kernel-max option name value) that
# fits the device, FUNCTION DEVICE OPTION NAME WANTED FOUND. FOUND is empty where the device does not know the name.
offload_values() {
  local rule device driver min max option name value shown features='' rings='' found own_driver=''
  while IFS= read -r rule; do
    read -r device driver min max option name value <<<"$rule"
    [ "$device" = "$3" ] || continue
    kernel_within "$min" "$max" || continue
    [ -n "$own_driver" ] || driver_of own_driver "$2"
    [ "$driver" = - ] || [ "$driver" = "$own_driver" ] || continue
    found=''
    if [ "$option" = -K ]; then
      [ -n "$features" ] || features=$(ethtool -k "$2" 2>/dev/null)
      shown=$(shown_name "$name")
      [[ $features =~ [[:space:]]"$shown":\ ([a-z]+) ]] && found=${BASH_REMATCH[1]}
    else
      [ -n "$rings" ] || rings=$(ethtool -g "$2" 2>/dev/null)
      [[ ${rings#*Current hardware settings} =~ $'\n'${name^^}:[[:space:]]*([0-9]+) ]] && found=${BASH_REMATCH[1]}
    fi
    "$4" "$2" "$option" "$name" "$value" "$found"
  done <<<"$1"
}

# offload_differs DEVICE OPTION NAME WANTED FOUND. "off" of what the device does not have is what is wanted. Drivers round
# a ring up (vmxnet3 to a multiple of 96 with an MTU of 9000), so up to an eighth more than wanted is what is wanted.
offload_differs() {
  [ "$4" != "$5" ] && [ "$4:$5" != off: ] || return 1
  [ "$2" != -G ] || [ -z "$5" ] || [ "$5" -lt "$4" ] || [ "$5" -gt $(($4 + $4 / 8)) ]
}

# Adds to the refusals of preflight. What runs in a pod is the controller itself, or the scheduler's matter.
check_ingress_ports() {
  local line address port process pid cgroup
  local -A taken_by=()
  [ "${#INGRESS_PORTS[@]}" -gt 0 ] || return 0
  while IFS= read -r line; do
    read -r _ _ _ address _ <<<"$line"
    port=${address##*:}
    [[ " ${INGRESS_PORTS[*]} " = *" $port "* ]] || continue
    process='the kernel' pid=''
    [[ $line =~ users:\(\(\"([^\"]*)\",pid=([0-9]+) ]] && process=${BASH_REMATCH[1]} pid=${BASH_REMATCH[2]}
    slurp cgroup "/proc/$pid/cgroup"
    [[ $cgroup != *kubepods* && -z ${taken_by["$port $process"]-} ]] || continue
    taken_by["$port $process"]=1
    refusals+=("TCP port $port is taken by $process${pid:+ (process $pid)}, and the ingress controller of the site is to listen there: stop it on this machine, or choose other machines by ingress.nodes")
  done < <(ss -Hltnp)
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

# Everything that makes this machine unfit, found before anything is changed, and told at once.
preflight() {
  local refusals=() container site='' id='' stamp
  step 'checking that this machine can be a node'

  local ID='' VERSION_ID='' PRETTY_NAME=''
  # shellcheck disable=SC1091
  . /etc/os-release
  DISTRIBUTION="$ID $VERSION_ID"
  case $DISTRIBUTION in
    'debian 12' | 'debian 13' | 'ubuntu 22.04' | 'ubuntu 24.04') ;;
    *) refusals+=("the distribution is ${PRETTY_NAME:-unknown}; the kit prepares Debian 12 and 13, Ubuntu 22.04 and 24.04: install one of them") ;;
  esac

  if container=$(systemd-detect-virt --container 2>/dev/null) && [ "$container" != none ]; then
    refusals+=("this machine is a container ($container), which shares its kernel: modules and sysctls cannot be set; use a virtual or a physical machine")
  fi
  [ -e /sys/fs/cgroup/cgroup.controllers ] ||
    refusals+=('cgroup v2 is not mounted at /sys/fs/cgroup, and kubelet refuses v1: remove systemd.unified_cgroup_hierarchy=0 from the kernel command line and restart')

  if [ -e "$STAMP_FILE" ]; then
    slurp stamp "$STAMP_FILE"
    [[ $stamp =~ \"site\":\ *\"([^\"]*)\" ]] && site=${BASH_REMATCH[1]}
    [[ $stamp =~ \"id\":\ *\"([^\"]*)\" ]] && id=${BASH_REMATCH[1]}
    if [ "$site" != "$SITE" ] || [ "$id" != "$STAMP_ID" ]; then
      refusals+=("$STAMP_FILE says that this machine belongs to site '$site' (state $id), and this is site '$SITE' (state $STAMP_ID): take it out of that site with 'sitewright destroy $site'; if that state no longer exists, remove $STAMP_FILE on this machine")
    fi
  fi

  # Of a member of a cluster. The clock of a machine that is new is set by its time servers below, and proved.
  local authority PROBLEM=''
  slurp authority /etc/kubernetes/pki/ca.crt
  if [ -n "$authority" ]; then
    # One that has expired here may be renewed in the secrets of the site, which reach the machine later.
    clock_problem "$authority" early
    [ -n "$PROBLEM" ] || expired_problem
    [ -z "$PROBLEM" ] || refusals+=("$PROBLEM")
  fi

  check_versions
  find_missing_packages
  if [ "${#MISSING_PACKAGES[@]}" -gt 0 ]; then
    if command -v apt-get >/dev/null; then
      check_package_source
    else
      refusals+=("missing packages, and no apt-get to install them: ${MISSING_PACKAGES[*]}")
    fi
  fi

  if command -v ip >/dev/null; then
    ip_snapshot
    find_interface || refusals+=("$NIC_PROBLEM")
  else
    refusals+=('the command ip is missing: install the package iproute2')
  fi
  check_ingress_ports
  check_swap

  [ "${#refusals[@]}" -eq 0 ] || refuse "${refusals[@]}"
}

check_versions() {
  local entry what least by found
  for entry in "${NEEDED_VERSIONS[@]}"; do
    read -r what least by <<<"$entry"
    found=$KERNEL
    if [ "$what" = nft ]; then
      # One that is to be installed is of a distribution whose nft is new enough.
      command -v nft >/dev/null || continue
      [[ $(nft --version) =~ v([0-9.]+) ]] && found=${BASH_REMATCH[1]} || found=0
    fi
    printf '%s\n' "$least" "$found" | sort -V -C ||
      refusals+=("$what is $found, and $by needs $least or newer: install a newer $what, or change that key of the site file")
  done
}

# cloud-init of a machine that has just started still writes files and restarts services.
wait_for_cloud_init() {
  local until=$((SECONDS + 600)) told=no
  while [ -L /run/cloud-init/status.json ] && [ ! -e /run/cloud-init/result.json ]; do
    [ "$told" = yes ] || step 'waiting for cloud-init to end'
    told=yes
    [ "$SECONDS" -lt "$until" ] || refuse 'cloud-init has not ended after 10 minutes: see cloud-init status --long on this machine'
    sleep 1
  done
}

find_missing_packages() {
  local entry command package
  MISSING_PACKAGES=()
  for entry in "${PACKAGES[@]}"; do
    read -r command package <<<"$entry"
    command -v "$command" >/dev/null || MISSING_PACKAGES+=("$package")
  done
  find_time_service
  [ "${#NTP_SERVERS[@]}" -eq 0 ] || [ "$TIME_SERVICE" != none ] || MISSING_PACKAGES+=(systemd-timesyncd)
}

# What is missing after an installation is damaged.
refuse_missing_packages() {
  hash -r
  find_missing_packages
  [ "${#MISSING_PACKAGES[@]}" -eq 0 ] ||
    refuse "the commands of these packages are missing although apt-get says that they are installed: ${MISSING_PACKAGES[*]}; repair them with apt-get install --reinstall"
}

write_stamp() { write_file "$STAMP_FILE" 0644 "{\"site\": \"$SITE\", \"id\": \"$STAMP_ID\"}"$'\n'; }

# A module that is part of the kernel may have no folder in /sys/module.
module_loaded() {
  [ -d "/sys/module/${1//-/_}" ] && return
  [ -n "${BUILTIN_MODULES-}" ] || slurp BUILTIN_MODULES "/lib/modules/$KERNEL/modules.builtin"
  [[ $BUILTIN_MODULES == *"/${1//-/_}.ko"* || $BUILTIN_MODULES == *"/${1//_/-}.ko"* ]]
}

modules_apply() {
  step 'kernel modules'
  write_file "$MODULES_FILE" 0644 "$MODULES_CONTENT"
  local name missing=()
  for name in "${MODULES[@]}"; do module_loaded "$name" || missing+=("$name"); done
  [ "${#missing[@]}" -gt 0 ] || return 0
  for name in "${missing[@]}"; do audit "module $name" 'not loaded' loaded; done
  modprobe -a "${missing[@]}" >&2 || true
}

modules_check() {
  local name
  for name in "${MODULES[@]}"; do
    module_loaded "$name" ||
      problem "module $name" loaded 'not loaded' "modprobe $name fails on kernel $KERNEL: use a kernel that has it and do not blacklist it"
  done
}

# sysctl_value VARIABLE FILE: fields separated by one space.
sysctl_value() {
  local text
  local -a fields=()
  slurp text "$2"
  read -r -a fields <<<"${text//$'\n'/ }"
  printf -v "$1" '%s' "${fields[*]}"
}

# each_sysctl FUNCTION: calls it with key, file and wanted value, for every file that a key (maybe with *) names.
each_sysctl() {
  local index file
  for index in "${!SYSCTL_KEYS[@]}"; do
    # shellcheck disable=SC2086 # a key may hold *
    for file in /proc/sys/${SYSCTL_PATHS[index]}; do "$1" "${SYSCTL_KEYS[index]}" "$file" "${SYSCTL_VALUES[index]}"; done
  done
}

sysctl_plan() {
  local found
  sysctl_value found "$2"
  [ "$found" != "$3" ] || return 0
  SYSCTL_DIFFERS=yes
  audit "sysctl $1" "$found" "$3"
}

# Modules come first: the keys of nf_conntrack and br_netfilter do not exist without them.
sysctls_apply() {
  step 'sysctls'
  write_file "$SYSCTL_FILE" 0644 "$SYSCTL_CONTENT"
  SYSCTL_DIFFERS=no
  each_sysctl sysctl_plan
  [ "$SYSCTL_DIFFERS" = yes ] || return 0
  sysctl -q -p "$SYSCTL_FILE" >&2 || true
}

sysctl_verify() {
  local found
  if [ ! -e "$2" ]; then
    problem "sysctl $1" "$3" 'no such key' "kernel $KERNEL has no $2: load the module it belongs to, or take it out of nodePrep.sysctls"
    return
  fi
  sysctl_value found "$2"
  [ "$found" = "$3" ] || problem "sysctl $1" "$3" "$found" 'the kernel did not take the value; sysctl says why above'
}

# systemd-sysctl reads the files of all folders in the order of their names; what sorts after ours wins at the next boot.
sysctls_check() {
  each_sysctl sysctl_verify
  local path line key value index
  for path in /usr/lib/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /run/sysctl.d/*.conf /etc/sysctl.d/*.conf; do
    [[ -f $path && ${path##*/} > ${SYSCTL_FILE##*/} ]] || continue
    while IFS= read -r line; do
      [[ $line =~ ^[[:space:]]*-?([a-z0-9][^=[:space:]]*)[[:space:]]*=[[:space:]]*(.*[^[:space:]]) ]] || continue
      key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
      # net.ipv4.conf.eth0/100.x and net/ipv4/conf/eth0.100/x are the same: the first separator decides.
      [[ $key =~ ^[^./]*/ ]] || { key=${key//\//:} && key=${key//./\/} && key=${key//:/.}; }
      for index in "${!SYSCTL_KEYS[@]}"; do
        # shellcheck disable=SC2053 # the other file may use * too
        [[ ${SYSCTL_PATHS[index]} == $key && $value != "${SYSCTL_VALUES[index]}" ]] || continue
        problem "sysctl ${SYSCTL_KEYS[index]}" "${SYSCTL_VALUES[index]} after a restart" "$value" \
          "$path is read after $SYSCTL_FILE and sets it again: remove the line there, or put the value in nodePrep.sysctls"
      done
    done <"$path"
  done
}

# Adds to the refusals of preflight what would keep swap on.
check_swap() {
  [ "$SWAP" = off ] || return 0
  local unit size key value held=0 available=0
  for unit in /etc/systemd/system/*.swap; do
    [[ ! -e $unit || $unit -ef /dev/null ]] ||
      refusals+=("swap is to be off, and a unit file in /etc cannot be masked: remove $unit, or set nodePrep.swap: keep")
  done
  while read -r _ _ _ size _; do [[ ! $size =~ ^[0-9]+$ ]] || held=$((held + size)); done </proc/swaps
  while read -r key value _; do [ "$key" != MemAvailable: ] || available=$value; done </proc/meminfo
  [ "$held" -le "$available" ] ||
    refusals+=("swap is to be off and holds $((held / 1024)) MiB, and only $((available / 1024)) MiB of memory are free for them: end what needs them, or set nodePrep.swap: keep")
}

swap_apply() {
  [ "$SWAP" = off ] || return 0
  step 'swap off'
  local fstab line out='' found=no unit name swaps masked
  slurp fstab /etc/fstab
  while IFS= read -r line; do
    if [[ $line =~ ^[[:space:]]*[^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap([[:space:]]|$) ]]; then
      line="#sitewright: $line" found=yes
    fi
    out+=$line$'\n'
  done <<<"${fstab%$'\n'}"
  [ "$found" = no ] || write_file /etc/fstab 0644 "$out" daemon-reload
  settle daemon-reload systemctl daemon-reload

  # Swap can also come from a unit file, from a GPT partition type or from zram: all of them are units.
  for unit in /etc/systemd/system/*.swap /usr/lib/systemd/system/*.swap /run/systemd/generator*/*.swap; do
    name=${unit##*/}
    [[ -e $unit && ! /etc/systemd/system/$name -ef /dev/null ]] || continue
    audit "unit $name" enabled masked
    slurp masked "$MASKED_UNITS"
    write_file "$MASKED_UNITS" 0644 "$masked$name"$'\n'
    systemctl mask --now "$name" >&2 || true
  done

  slurp swaps /proc/swaps
  [[ $swaps == *$'\n'/* ]] || return 0
  audit swap on off
  swapoff -a >&2 || true
}

swap_check() {
  [ "$SWAP" = off ] || return 0
  local swaps
  slurp swaps /proc/swaps
  swaps=${swaps#*$'\n'}
  [ -z "$swaps" ] || problem swap off "${swaps%%[[:space:]]*}" 'swapoff failed: there may be too little memory for what is in it'
}

find_time_service() {
  TIME_SERVICE=none
  if command -v chronyd >/dev/null; then
    TIME_SERVICE=chrony
  elif [ -x /usr/lib/systemd/systemd-timesyncd ]; then
    TIME_SERVICE=systemd-timesyncd
  fi
}

# cloud-init writes a chrony.conf of its own, which leaves this line of the distribution out.
chrony_reads_sources() {
  slurp CHRONY_CONF /etc/chrony/chrony.conf
  [[ $CHRONY_CONF =~ (^|$'\n')[[:space:]]*sourcedir[[:space:]]+/etc/chrony/sources\.d ]]
}

time_apply() {
  [ "${#NTP_SERVERS[@]}" -gt 0 ] || return 0
  step "time: $TIME_SERVICE"
  local wants=multi-user
  if [ "$TIME_SERVICE" = chrony ]; then
    write_file /etc/chrony/sources.d/sitewright.sources 0644 "$CHRONY_SOURCES" chrony
    chrony_reads_sources || write_file /etc/chrony/chrony.conf 0644 "${CHRONY_CONF%$'\n'}"$'\nsourcedir /etc/chrony/sources.d\n' chrony
  else
    write_file /etc/systemd/timesyncd.conf.d/90-sitewright.conf 0644 "$TIMESYNCD_CONF" systemd-timesyncd
    wants=sysinit
  fi
  if [ ! -e "/etc/systemd/system/$wants.target.wants/$TIME_SERVICE.service" ]; then
    audit "unit $TIME_SERVICE" disabled enabled
    pending "$TIME_SERVICE"
    systemctl enable "$TIME_SERVICE.service" >&2 || true
  fi
  settle "$TIME_SERVICE" systemctl restart "$TIME_SERVICE.service"
}

time_check() {
  [ "${#NTP_SERVERS[@]}" -gt 0 ] || return 0
  local found
  if [ "$TIME_SERVICE" = chrony ]; then
    chrony_reads_sources ||
      problem 'time servers' "${NTP_SERVERS[*]}" 'not read' "/etc/chrony/chrony.conf has no line 'sourcedir /etc/chrony/sources.d'"
  else
    last_setting found NTP timesyncd.conf
    [ "$found" = "${NTP_SERVERS[*]}" ] ||
      problem 'time servers' "${NTP_SERVERS[*]}" "$found" 'a file in timesyncd.conf.d whose name sorts after 90-sitewright.conf sets NTP again: remove it'
  fi
}

journald_apply() {
  step 'journal'
  write_file /etc/systemd/journald.conf.d/90-sitewright.conf 0644 "$JOURNALD_CONF" systemd-journald
  settle systemd-journald systemctl restart systemd-journald.service
}

journald_check() {
  local found
  last_setting found SystemMaxUse journald.conf
  [ "$found" = "$JOURNALD_MAX_USE_BYTES" ] ||
    problem 'journal SystemMaxUse' "$JOURNALD_MAX_USE_BYTES" "$found" 'a file in journald.conf.d whose name sorts after 90-sitewright.conf sets it again: remove it'
}

# The rest of /etc/hosts belongs to the machine. A block that lost its end is taken up to the end of the file.
hosts_apply() {
  step '/etc/hosts'
  local hosts line kept='' inside=no
  slurp hosts /etc/hosts
  while IFS= read -r line; do
    [ "$line" != "$HOSTS_BEGIN" ] || inside=yes
    [ "$inside" = yes ] || kept+=$line$'\n'
    [ "$line" != "$HOSTS_END" ] || inside=no
  done <<<"${hosts%$'\n'}"
  [ -z "$HOSTS_BLOCK" ] || kept+=$HOSTS_BEGIN$'\n'$HOSTS_BLOCK$HOSTS_END$'\n'
  write_file /etc/hosts 0644 "$kept"
}

# What the kernel has now, in two or three processes.
ip_snapshot() {
  IP_ADDRESSES=$(ip -o addr show)
  IP_ROUTES=$(ip -o -4 route show)$'\n'
  [[ "${ADDRESSES[*]}" != *:* ]] || IP_ROUTES+=$(ip -o -6 route show)$'\n'
}

# has_address ADDRESS/PREFIX [INTERFACE]
has_address() {
  local line
  while read -r _ line; do
    [[ "$line" =~ ^([^\ ]+)\ +inet6?\ ([^\ ]+) && ${BASH_REMATCH[2]} = "$1" && ${BASH_REMATCH[1]} = "${2:-${BASH_REMATCH[1]}}" ]] || continue
    ADDRESS_INTERFACE=${BASH_REMATCH[1]}
    return 0
  done <<<"$IP_ADDRESSES"
  return 1
}

has_route() { [[ $'\n'"$IP_ROUTES" == *$'\n'"$1 via $2 dev $NIC"[[:space:]]* ]]; }

find_interface() {
  local device mac
  NIC=''
  if [ -n "$IF_NAME" ]; then
    [ ! -e "/sys/class/net/$IF_NAME" ] || NIC=$IF_NAME
    NIC_PROBLEM="there is no network interface $IF_NAME: correct the name of the interface in the site file"
  elif [ -n "$IF_MAC" ]; then
    for device in /sys/class/net/*/device; do
      device=${device%/device}
      [ -e "$device/address" ] || continue
      read -r mac <"$device/address"
      [ "$mac" != "$IF_MAC" ] || NIC=${device##*/}
    done
    NIC_PROBLEM="no network interface has the MAC address $IF_MAC: attach it, or correct the MAC address in the site file"
  else
    ! has_address "${ADDRESSES[0]}" || NIC=$ADDRESS_INTERFACE
    NIC_PROBLEM="no network interface has the address ${ADDRESSES[0]}: give it to one, or correct the addresses in the site file"
  fi
  [ -n "$NIC" ] || return 1
  read -r NIC_MAC <"/sys/class/net/$NIC/address"
  driver_of NIC_DRIVER "$NIC"
  find_manager
}

# Who configures the interface. systemd-networkd keeps its view in a file; netplan writes files for networkd.
find_network_file() {
  local index state
  read -r index <"/sys/class/net/$NIC/ifindex"
  slurp state "/run/systemd/netif/links/$index"
  NETWORK_FILE=''
  [[ ! $state =~ (^|$'\n')NETWORK_FILE=([^$'\n']+) ]] || NETWORK_FILE=${BASH_REMATCH[2]}
}

find_manager() {
  find_network_file
  if [ -n "$NETWORK_FILE" ]; then
    MANAGER=systemd-networkd
  elif [ -e /run/NetworkManager ]; then
    MANAGER=NetworkManager
  elif [ -e /run/network/ifstate ]; then
    MANAGER=ifupdown
  else
    MANAGER='no known service'
  fi
}

# The address that this very session came to stays until a session comes to another one.
session_address() {
  local line
  SESSION_ADDRESS=''
  [ -n "$SESSION_HOST" ] || return 0
  while read -r _ line; do
    [[ "$line" =~ ^([^\ ]+)\ +inet6?\ ([^\ ]+) && ${BASH_REMATCH[1]} = "$NIC" && ${BASH_REMATCH[2]%/*} = "$SESSION_HOST" ]] || continue
    [[ " ${ADDRESSES[*]} " == *" ${BASH_REMATCH[2]} "* ]] || SESSION_ADDRESS=${BASH_REMATCH[2]}
  done <<<"$IP_ADDRESSES"
}

# each_network_value FUNCTION: key, wanted, found for everything that is planned for the interface.
each_network_value() {
  local address gateway route server mtu resolv destination
  [ "$MANAGER:$MADE_BY_KIT" != systemd-networkd:yes ] || "$1" "$NIC configuration" "$OWN_NETWORK_FILE" "$NETWORK_FILE"
  read -r mtu <"/sys/class/net/$NIC/mtu"
  "$1" "$NIC mtu" "$IF_MTU_BYTES" "$mtu"
  for address in "${ADDRESSES[@]}"; do
    if has_address "$address" "$NIC"; then "$1" "$NIC address" "$address" "$address"; else "$1" "$NIC address" "$address" ''; fi
  done
  for gateway in "${GATEWAYS[@]}"; do
    if has_route default "$gateway"; then "$1" "$NIC gateway" "$gateway" "$gateway"; else "$1" "$NIC gateway" "$gateway" ''; fi
  done
  for route in "${ROUTES[@]}"; do
    destination=${route% *} gateway=${route#* }
    if has_route "$destination" "$gateway"; then "$1" "$NIC route" "$route" "$route"; else "$1" "$NIC route" "$route" ''; fi
  done
  resolv=/run/systemd/resolve/resolv.conf
  [ -e "$resolv" ] || resolv=/etc/resolv.conf
  slurp resolv "$resolv"
  for server in "${DNS_SERVERS[@]}"; do
    if [[ $'\n'"$resolv" == *$'\n'"nameserver $server"[[:space:]]* ]]; then "$1" 'DNS server' "$server" "$server"; else "$1" 'DNS server' "$server" ''; fi
  done
}

count_difference() { [ "$2" = "$3" ] || DIFFERENCES=$((DIFFERENCES + 1)); }
audit_difference() { [ "$2" = "$3" ] || audit "$1" "$3" "$2"; }
differs() {
  DIFFERENCES=0
  each_network_value count_difference
  [ "$DIFFERENCES" -gt 0 ]
}

# configured VARIABLE FILE: addresses (a/p) and routes (destination gateway) of a .network file, one on a line.
configured() {
  local line key section='' destination='' gateway='' list=$'\n'
  [ ! -r "$2" ] || while IFS= read -r line; do
    key=${line%%=*}
    case $key in
      '['*) section=$line destination='' gateway='' ;;
      Address) list+=${line#*=}$'\n' ;;
      Destination) destination=${line#*=} ;;
      Gateway) gateway=${line#*=} ;;
    esac
    [ "$section" = '[Route]' ] || destination=default
    [ -z "$destination" ] || [ -z "$gateway" ] || { list+="$destination $gateway"$'\n' && gateway=''; }
  done <"$2"
  printf -v "$1" '%s' "$list"
}

# remove_what_left OLD NEW: lists made by configured. Before the new file is written, so that an interrupted run does it again.
remove_what_left() {
  local entry
  while IFS= read -r entry; do
    [[ -n $entry && $2 != *$'\n'"$entry"$'\n'* && $entry != '0.0.0.0/0 '* && $entry != '::/0 '* ]] || continue
    audit "$NIC" "$entry" ''
    if [[ $entry == *' '* ]]; then
      ip route del "${entry% *}" via "${entry#* }" dev "$NIC" 2>/dev/null || true
    else
      ip addr del "$entry" dev "$NIC" 2>/dev/null || true
    fi
  done <<<"$1"
}

network_apply() {
  step "network of $NIC"
  session_address
  if [ "${#DNS_SERVERS[@]}" -gt 0 ] && [ "$MANAGER" != NetworkManager ] && [ ! -e /run/systemd/resolve/resolv.conf ] && [ ! -L /etc/resolv.conf ]; then
    write_file /etc/resolv.conf 0644 "$RESOLV_CONF"
  fi
  [ "$MANAGER" = systemd-networkd ] || return 0
  # Without this networkd takes away, when it restarts, the routes to pods that Calico put on the interface.
  write_file /etc/systemd/networkd.conf.d/90-sitewright.conf 0644 "$NETWORKD_CONF" networkd-restart
  local content file=$OWN_NETWORK_FILE
  if [ "$MADE_BY_KIT" = yes ]; then
    # A whole file of our own, before those of cloud-init and netplan: what leaves the plan leaves the machine.
    content="# Made by sitewright for site $SITE; edits are undone. It comes before what cloud-init and netplan made."$'\n'
    content+=$'[Match]\n'"MACAddress=$NIC_MAC"$'\nType=ether\n\n'"$NETWORK_LINK"$'\n[Network]\nIPv6AcceptRA=no\n'"$NETWORK_BODY"
    [ ! -d /etc/cloud ] || write_file /etc/cloud/cloud.cfg.d/99-sitewright-network.cfg 0644 "$CLOUD_CFG"
  else
    # The owner's configuration stays; a drop-in adds what is planned and never takes an address away.
    file=${NETWORK_FILE##*/}
    file=/etc/systemd/network/$file.d/90-sitewright.conf
    content="# Made by sitewright for site $SITE; edits are undone."$'\n'"$NETWORK_LINK"$'\n[Network]\n'"$NETWORK_BODY"
  fi
  [ -z "$SESSION_ADDRESS" ] || content=${content/'[Network]'/'[Network]'$'\n'Address=$SESSION_ADDRESS}
  local before after old
  slurp old "$file"
  if [ "$old" != "$content" ]; then
    configured before "$file"
    configured after /dev/stdin <<<"$content"
    remove_what_left "$before" "$after"
    write_file "$file" 0644 "$content" networkd-reload
    ip_snapshot
  fi

  each_network_value audit_difference
  if is_pending networkd-restart; then
    settle networkd-restart systemctl restart systemd-networkd.service
    settled networkd-reload
  elif is_pending networkd-reload; then
    settle networkd-reload networkctl reload
  else
    ! differs || networkctl reconfigure "$NIC" >&2 || true
  fi
  wait_for_network 60 || true
}

# networkd works on its own time: waits for the planned values, at most $1 seconds.
wait_for_network() {
  local until=$((SECONDS + $1))
  while differs; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.3
    ip_snapshot
    find_network_file
  done
}

network_problem() {
  [ "$2" != "$3" ] || return 0
  local why="the driver $NIC_DRIVER or the network refuses it; see: journalctl -u systemd-networkd"
  [ "$2" != "$OWN_NETWORK_FILE" ] || why='the file found comes first and takes the interface: remove it'
  [ "$MANAGER" = systemd-networkd ] ||
    why="$NIC is configured by $MANAGER, which the kit reads and does not write: set it there, or change to systemd-networkd"
  problem "$1" "$2" "${3:-nothing}" "$why"
}

network_check() { each_network_value network_problem; }

offload_set() {
  offload_differs "$@" || return 0
  audit "$1 $3" "$5" "$4"
  ethtool "$2" "$1" "$3" "$4" >&2 || true
}

offload_verify() {
  OFFLOADS_FOUND+=("$1 $3 ${5:-absent}")
  offload_differs "$@" || return 0
  problem "$1 $3" "$4" "${5:-nothing}" "ethtool $2 $1 $3 $4 has no effect with driver $NIC_DRIVER on kernel $KERNEL: its message is above"
}

# each_offload FUNCTION: the node's NIC, and every device that the rules name and that is there now.
each_offload() {
  local device role seen=' '
  while read -r role _; do
    [[ $seen != *" $role "* ]] || continue
    seen+="$role "
    device=$role
    [ "$role" != nic ] || device=$NIC
    [ ! -e "/sys/class/net/$device" ] || offload_values "$OFFLOAD_RULES" "$device" "$role" "$1"
  done <<<"$OFFLOAD_RULES"
}

# udev runs the helper when a device comes, at boot or when Calico makes it; so does a rename.
offloads_apply() {
  step 'offloads'
  local rules='' role seen=' ' match
  while read -r role _; do
    [[ $seen != *" $role "* ]] || continue
    seen+="$role "
    match="ENV{INTERFACE}==\"$role\""
    [ "$role" != nic ] || match="ATTR{address}==\"$NIC_MAC\", DRIVERS==\"?*\""
    rules+="ACTION==\"add|move\", SUBSYSTEM==\"net\", $match, RUN+=\"$OFFLOAD_HELPER \$name $role\""$'\n'
  done <<<"$OFFLOAD_RULES"
  write_file "$OFFLOAD_HELPER" 0755 "$OFFLOAD_HELPER_TEXT"
  write_file "$UDEV_RULES_FILE" 0644 "$rules" udev
  settle udev udevadm control --reload
  each_offload offload_set
}

offloads_check() {
  OFFLOADS_FOUND=()
  each_offload offload_verify
}

# json VARIABLE TEXT: a JSON string. Neither jq nor Python is on every node.
json() {
  local text=${2//\\/\\\\}
  text=${text//\"/\\\"}
  printf -v "$1" '"%s"' "${text//[$'\001'-$'\037']/ }"
}

# json_list VARIABLE TEXT...: a JSON list of strings.
json_list() {
  local variable=$1 entry entries=''
  shift
  for entry in "$@"; do
    json entry "$entry"
    entries+=${entries:+, }$entry
  done
  printf -v "$variable" '[%s]' "$entries"
}

# number VARIABLE FILE: what the file holds, or null.
number() {
  printf -v "$1" null
  [ ! -r "$2" ] || read -r "${1?}" <"$2" || true
}

clock_facts() {
  local text pattern
  local -a tracking
  CLOCK_OFFSET_MS=null CLOCK_SYNCHRONISED=false
  case $TIME_SERVICE in
    chrony)
      # Field 5 is the offset in seconds; the reference is 0 without a source.
      IFS=, read -r -a tracking < <(chronyc -c tracking 2>/dev/null)
      [ "${#tracking[@]}" -gt 4 ] && [ "${tracking[0]}" != 00000000 ] && [ "${tracking[0]}" != 7F7F0101 ] || return 0
      CLOCK_SYNCHRONISED=true
      to_milliseconds "${tracking[4]}" s
      ;;
    systemd-timesyncd)
      text=$(timedatectl timesync-status 2>/dev/null)
      pattern='Offset: ([-+]?[0-9.]+)(us|ms|s)'
      [[ $text =~ $pattern ]] || return 0
      CLOCK_SYNCHRONISED=true
      to_milliseconds "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
      ;;
  esac
}

# to_milliseconds NUMBER UNIT, to the microsecond; bash has whole numbers only.
to_milliseconds() {
  local sign='' number=${1#+} whole fraction
  [[ $number != -* ]] || sign=-
  number=${number#-}
  whole=${number%%.*} fraction=000000000
  [[ $number != *.* ]] || fraction=${number#*.}000000000
  case $2 in
    s) whole=$((10#$whole * 1000000 + 10#${fraction:0:6})) ;;
    ms) whole=$((10#$whole * 1000 + 10#${fraction:0:3})) ;;
    us) whole=$((10#$whole)) ;;
  esac
  printf -v CLOCK_OFFSET_MS '%s%d.%03d' "$sign" $((whole / 1000)) $((whole % 1000))
}

facts() {
  step 'facts'
  local key value list='' item total=0 field insert_failed=0 column=-1 i drops=0 device
  local kernel distribution nic mac driver file mtu
  json kernel "$KERNEL"
  json distribution "$DISTRIBUTION"
  json nic "$NIC"
  json mac "$NIC_MAC"
  json driver "$NIC_DRIVER"
  json file "${NETWORK_FILE:-$MANAGER}"
  read -r mtu <"/sys/class/net/$NIC/mtu"
  printf '{\n  "schemaVersion": 1,\n  "kernel": %s,\n  "distribution": %s,\n  "cgroup": "v2",\n' "$kernel" "$distribution"

  local -a addresses=()
  while read -r _ item; do
    [[ "$item" =~ ^([^\ ]+)\ +inet6?\ ([^\ ]+) && ${BASH_REMATCH[1]} = "$NIC" ]] && addresses+=("${BASH_REMATCH[2]}")
  done <<<"$IP_ADDRESSES"
  json_list list "${addresses[@]}"
  printf '  "interface": {"name": %s, "mac": %s, "driver": %s, "mtuBytes": %s, "addresses": %s, "configuredBy": %s},\n' \
    "$nic" "$mac" "$driver" "$mtu" "$list" "$file"

  json_list list "${MODULES[@]}"
  printf '  "modules": %s,\n' "$list"
  list=''
  for i in "${!SYSCTL_KEYS[@]}"; do
    json key "${SYSCTL_KEYS[i]}"
    json value "${SYSCTL_VALUES[i]}"
    list+=${list:+, }"$key: $value"
  done
  printf '  "sysctls": {%s},\n' "$list"
  list=''
  for item in "${OFFLOADS_FOUND[@]}"; do
    read -r device key value <<<"$item"
    json device "$device"
    json key "$key"
    json value "$value"
    list+=${list:+, }"{\"device\": $device, \"name\": $key, \"value\": $value}"
  done
  printf '  "offloads": [%s],\n' "$list"

  local memory=null swap=null
  while read -r key value _; do
    case $key in
      MemTotal:) memory=$((value * 1024)) ;;
      SwapTotal:) swap=$((value * 1024)) ;;
    esac
  done </proc/meminfo
  printf '  "memoryBytes": %s,\n  "swapBytes": %s,\n' "$memory" "$swap"

  clock_facts
  json value "$TIME_SERVICE"
  printf '  "clock": {"service": %s, "synchronised": %s, "offsetMilliseconds": %s},\n' "$value" "$CLOCK_SYNCHRONISED" "$CLOCK_OFFSET_MS"

  # Fields of the first line: "cpu", user nice system idle iowait irq softirq steal; since the machine started.
  local -a cpu=() cpus=(/sys/devices/system/cpu/cpu[0-9]*)
  read -r -a cpu </proc/stat
  for field in "${cpu[@]:1:8}"; do total=$((total + field)); done
  i=$((cpu[8] * 10000 / total))
  printf '  "cpu": {"count": %s, "stealPercent": %d.%02d},\n' "${#cpus[@]}" $((i / 100)) $((i % 100))

  list=''
  for device in /sys/block/*/device; do
    device=${device%/device}
    number value "$device/size"
    number item "$device/queue/rotational"
    [ "$value" != 0 ] || continue
    json key "${device##*/}"
    list+=${list:+, }"{\"name\": $key, \"sizeBytes\": $((value * 512)), \"rotational\": $([ "$item" = 1 ] && echo true || echo false)}"
  done
  printf '  "disks": [%s],\n' "$list"

  local count max
  number count /proc/sys/net/netfilter/nf_conntrack_count
  number max /proc/sys/net/netfilter/nf_conntrack_max
  # A line of names, then one line for each CPU, in hexadecimal.
  if [ -r /proc/net/stat/nf_conntrack ]; then
    while read -r -a cpu; do
      if [ "$column" -lt 0 ]; then
        for i in "${!cpu[@]}"; do [ "${cpu[i]}" != insert_failed ] || column=$i; done
        [ "$column" -ge 0 ] || break
      else
        insert_failed=$((insert_failed + 16#${cpu[column]}))
      fi
    done </proc/net/stat/nf_conntrack
  fi
  printf '  "conntrack": {"count": %s, "max": %s, "insertFailed": %s},\n' "$count" "$max" "$insert_failed"

  while read -r -a cpu; do drops=$((drops + 16#${cpu[1]})); done </proc/net/softnet_stat
  printf '  "softnetDrops": %s\n}\n' "$drops"
}

# Whether a mirror answers is seen when it is asked.
check_package_source() { :; }

install_packages() {
  [ "${#MISSING_PACKAGES[@]}" -gt 0 ] || return 0
  step "installing ${MISSING_PACKAGES[*]}"
  audit packages '' "${MISSING_PACKAGES[*]}"
  # A network that drops packets holds apt-get for very long: the limits make that a message.
  local apt=(apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)
  local install=(timeout 900 "${apt[@]}" install -y --no-install-recommends "${MISSING_PACKAGES[@]}")
  export DEBIAN_FRONTEND=noninteractive
  "${install[@]}" >&2 || { timeout 120 "${apt[@]}" update >&2 && "${install[@]}" >&2; } ||
    refuse "apt-get could not install: ${MISSING_PACKAGES[*]}; let this machine reach a mirror of $DISTRIBUTION, or put these packages in its image"
  refuse_missing_packages
}

main() {
  wait_for_cloud_init
  preflight
  lock 600
  install_packages
  write_stamp
  modules_apply
  sysctls_apply
  swap_apply
  time_apply
  journald_apply
  network_apply
  offloads_apply
  hosts_apply

  step 'reading every value back'
  [ "$CHANGES" -eq 0 ] || ip_snapshot
  modules_check
  sysctls_check
  swap_check
  time_check
  journald_check
  network_check
  offloads_check
  if [ "${#PROBLEMS[@]}" -gt 0 ]; then
    printf 'problem: %s\n' "${PROBLEMS[@]}" >&2
    refuse "${#PROBLEMS[@]} value(s) of this node are not as planned; they are listed above"
  fi
  if [ "$CHANGES" -eq 0 ]; then step 'nothing to change'; else step "$CHANGES change(s), recorded in $AUDIT_LOG"; fi
  facts
}

main </dev/null
