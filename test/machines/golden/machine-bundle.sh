SITEWRIGHT_CACHE=$HOME; [ "$(id -u)" != 0 ] || SITEWRIGHT_CACHE=~root; SITEWRIGHT_CACHE=${XDG_CACHE_HOME:-$SITEWRIGHT_CACHE/.cache}/sitewright; [ "$(id -u)" = 0 ] || { sudo -n true 2>/dev/null || { echo "$(id -un)@$(uname -n): the user needs sudo without a password, or connect as root" >&2; exit 1; }; exec sudo -n env SITEWRIGHT_CACHE="$SITEWRIGHT_CACHE" bash -s; }

hypervisor='hv1'
uri='qemu:///system'
pool='default'
etcdPool='nvme'
site='acme'
stamp='4b1d'
stampNamespace='urn:sitewright:machine:1'
machine='cp1'
domain='acme-cp1'
imagePath='/srv/images/debian-12.qcow2'
imageUrl=''
imageSha256='abababababababababababababababababababababababababababababababab'
imageFormat='qcow2'
imageName='sitewright-base-abababababab.qcow2'
kernelPath='/srv/images/vmlinuz'
kernelSha256='cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd'
kernelName='sitewright-base-cdcdcdcdcdcd.kernel'
initrdPath='/srv/images/initrd.img'
initrdSha256='efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef'
initrdName='sitewright-base-efefefefefef.initrd'
bundleId='1212121212121212121212121212121212121212121212121212121212121212'
bundleSha256='3434343434343434343434343434343434343434343434343434343434343434'
bundleName='sitewright-bundle-1212121212121212.iso'
bundleDisk='<disk type="file" device="disk">
  <driver name="qemu" type="raw"/>
  <source file="@bundleFile@"/>
  <target dev="vdd" bus="virtio"/>
  <readonly/>
  <shareable/>
  <serial>bundle</serial>
</disk>'
volumes='overlay'
rootBytes='21474836480'
etcdBytes='8589934592'
domainType='auto'
cpuMode='auto'
emulatedCpuFeatures='<feature policy="disable" name="erms"/><feature policy="disable" name="fsrm"/><feature policy="disable" name="avx2"/>'
bridge='br0'
libvirtNetwork=''
mac='52:54:00:12:34:56'
hostMtuBytes='9001'
autostart='yes'
directCache='none'
directIo='native'
cachedCache='writeback'
cachedIo='threads'
domainXml='<domain type="@domainType@">
  <name>acme-cp1</name>
  <uuid>@uuid@</uuid>
  <metadata>
    <sitewright:machine xmlns:sitewright="urn:sitewright:machine:1" site="acme" machine="cp1" hypervisor="hv1" stamp="4b1d" configuration="@configuration@"/>
  </metadata>
  <memory unit="bytes">8589934592</memory>
  <vcpu>4</vcpu>
  <os>
    <type arch="x86_64" machine="q35">hvm</type>
    <kernel>@kernelFile@</kernel>
    <initrd>@initrdFile@</initrd>
    <cmdline>root=LABEL=root ro console=ttyS0</cmdline>
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode="@cpuMode@" check="none"/>
  <clock offset="utc"/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
    <disk type="file" device="disk">
      <driver name="qemu" type="qcow2" cache="@rootCache@" io="@rootIo@" discard="unmap"/>
      <source file="@rootFile@"/>
      <target dev="vda" bus="virtio"/>
      <serial>root</serial>
      <boot order="1"/>
    </disk>
    <disk type="file" device="disk">
      <driver name="qemu" type="raw" cache="@etcdCache@" io="@etcdIo@" discard="unmap"/>
      <source file="@etcdFile@"/>
      <target dev="vdb" bus="virtio"/>
      <serial>etcd</serial>
    </disk>
    <disk type="file" device="disk">
      <driver name="qemu" type="raw"/>
      <source file="@seedFile@"/>
      <target dev="vdc" bus="virtio"/>
      <readonly/>
      <serial>seed</serial>
    </disk>
    <controller type="usb" model="none"/>
    <interface type="bridge">
      <mac address="52:54:00:12:34:56"/>
      <source bridge="br0"/>
      <model type="virtio"/>
      <driver queues="4" rx_queue_size="1024"/>
      <mtu size="9001"/>
    </interface>
    <serial type="pty">
      <target port="0"/>
    </serial>
    <console type="pty">
      <target type="serial" port="0"/>
    </console>
    <memballoon model="none"/>
    <rng model="virtio">
      <backend model="random">/dev/urandom</backend>
    </rng>
  </devices>
</domain>'
metaData='instance-id: "@uuid@"
local-hostname: cp1
'
networkConfig='version: 2
ethernets:
  primary:
    match:
      macaddress: "52:54:00:12:34:56"
    dhcp4: false
    dhcp6: false
    accept-ra: false
    mtu: 9000
    addresses:
      - 192.0.2.11/24
      - 2001:db8::11/64
    gateway4: 192.0.2.1
    gateway6: 2001:db8::1
    routes:
      - to: 198.51.100.0/24
        via: 192.0.2.254
    nameservers:
      addresses:
        - 192.0.2.53
      search:
        - example.org
'
userData='#cloud-config
hostname: cp1
preserve_hostname: false
manage_etc_hosts: false
disable_root: true
ssh_pwauth: false
users:
  - name: sitewright
    shell: /bin/bash
    sudo: ALL=(ALL) NOPASSWD:ALL
    lock_passwd: true
    ssh_authorized_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHFj7AklEdMijCGxIMqaLfJa93V314gzrmXGFaNTLTva
ssh_deletekeys: true
ssh_keys:
  ed25519_private: |
    -----BEGIN OPENSSH PRIVATE KEY-----
    b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
    QyNTUxOQAAACANWklyw1EDjjoJju+k/uvR1U0uAMt3U1HbcszJ3xrdWQAAAIgZmP/rGZj/
    6wAAAAtzc2gtZWQyNTUxOQAAACANWklyw1EDjjoJju+k/uvR1U0uAMt3U1HbcszJ3xrdWQ
    AAAEDb6IZBypX0mEUyOgssSmyr8BsYLoK5MAMB8iK0iPJoUQ1aSXLDUQOOOgmO76T+69HV
    TS4Ay3dTUdtyzMnfGt1ZAAAAAAECAwQF
    -----END OPENSSH PRIVATE KEY-----
  ed25519_public: |
    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA1aSXLDUQOOOgmO76T+69HVTS4Ay3dTUdtyzMnfGt1Z
growpart:
  mode: auto
  devices:
    - /
resize_rootfs: true
ntp:
  enabled: true
  servers:
    - 192.0.2.123
  pools: []
'

set -Eeuo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
umask 022
failed=no
temporary=
problems=()

step() { printf 'step: %s\n' "$*" >&2; }
fail() { failed=yes; printf '%s\n' "$*" >&2; exit 1; }
problem() { problems+=("$*"); }
stop_on_problems() {
  if [ "${#problems[@]}" -gt 0 ]; then
    local all
    printf -v all '%s; ' "${problems[@]}"
    fail "$hypervisor: ${all%; }"
  fi
}
at_exit() {
  local code=$1
  if [ -n "$temporary" ]; then rm -rf "$temporary"; fi
  if [ "$code" != 0 ] && [ "$failed" = no ]; then printf '%s\n' "$hypervisor: exit code $code of: $failing" >&2; fi
}
# The text of the command before its variables are filled in: it holds no secret.
failing='the script itself'
trap 'failing=$BASH_COMMAND' ERR
trap 'at_exit $?' EXIT

# attempt <what> <command>...: a failure becomes one line with the last error that the command wrote. libvirt shows the
# place in an XML document below the error itself.
attempt() {
  local what=$1 output
  shift
  output=$("$@" 2>&1) || fail "$hypervisor: could not $what: $(printf '%s\n' "$output" |
    awk 'NF { last = $0 } /^error: / { said = $0; next } said != "" && NF { said = said " | " $0 } END { print said == "" ? last : said }')"
}

# The lock's file descriptor stays out of what virsh may start.
vir() { virsh -q -c "$uri" "$@" 9<&-; }

human() { numfmt --to=iec-i --suffix=B "$1"; }

require_libvirt() {
  local tool answer
  for tool in virsh qemu-img flock sha256sum; do
    command -v "$tool" >/dev/null || problem "$tool is not installed"
  done
  stop_on_problems
  answer=$(timeout 60 virsh -q -c "$uri" uri 2>&1) ||
    fail "libvirt is not running on $hypervisor: $uri does not answer ($(printf '%s' "$answer" | tail -n 1)); start it there, for example with: systemctl start libvirtd"
}

# inspect_pool <pool>: sets poolDirectory, or notes a problem and leaves it empty.
inspect_pool() {
  local pool=$1 xml type
  poolDirectory=
  xml=$(vir pool-dumpxml "$pool" 2>/dev/null) || {
    problem "there is no storage pool $pool (there is: $(vir pool-list --all --name | xargs))"
    return 0
  }
  type=$(printf '%s\n' "$xml" | sed -n "s/^<pool type='\([a-z]*\)'.*/\1/p")
  case $type in
    dir | fs | netfs) ;;
    *) problem "storage pool $pool has the type $type; machines need one that holds files (dir, fs, netfs)"; return 0 ;;
  esac
  [ "$(vir pool-info "$pool" | sed -n 's/^State: *//p')" = running ] || {
    problem "storage pool $pool is not active; start it with: virsh -c '$uri' pool-start $pool"
    return 0
  }
  poolDirectory=$(printf '%s\n' "$xml" | sed -n 's:^ *<path>\(.*\)</path>$:\1:p' | tail -n 1)
  case $poolDirectory in
    *[!A-Za-z0-9/._+-]*) problem "the directory of storage pool $pool has characters that are not supported: $poolDirectory" ;;
  esac
  [ -d "$poolDirectory" ] || problem "the directory of storage pool $pool is not there: $poolDirectory"
}

# Two runs never work in one pool at the same time: the earlier one may be the rest of an interrupted one.
lock_pool() {
  exec 9<"$1"
  flock -n 9 || {
    step "waits for another run that works in $1"
    flock -w 3600 9 || fail "$hypervisor: another run has held $1 for 60 minutes; end it and run again"
  }
}

# attribute <name> <element>: of the stamp, as virsh metadata prints it.
attribute() { printf '%s' "$2" | sed -n "s/.* $1=[\"']\([^\"']*\)[\"'].*/\1/p"; }
stamp_of() { vir metadata "$1" "$stampNamespace" --config 2>/dev/null || true; }

stop_domain() {
  if [ "$(vir domstate "$1")" != 'shut off' ]; then
    step "stops $1"
    attempt "stop $1" vir destroy "$1"
  fi
}
undefine_domain() {
  step "removes $1"
  attempt "remove $1" vir undefine "$1" --nvram --managed-save --snapshots-metadata --checkpoints-metadata
}

free_bytes() { df -PB1 "$1" | awk 'NR == 2 { print $4 }'; }
virtual_size() { qemu-img info -U "$1" | sed -n 's/^virtual size: .*(\([0-9]*\) bytes).*/\1/p'; }

# read_domain: sets existing (its configuration, or nothing), stampSite, stampMachine and stampId.
read_domain() {
  local metadata
  existing=$(vir dumpxml --inactive "$domain" 2>/dev/null) || existing=
  metadata=$(stamp_of "$domain")
  stampSite=$(attribute site "$metadata")
  stampMachine=$(attribute machine "$metadata")
  stampId=$(attribute stamp "$metadata")
}

is_ours() { [ "$stampSite" = "$site" ] && [ "$stampMachine" = "$machine" ] && [ "$stampId" = "$stamp" ]; }

inspect_pools() {
  inspect_pool "$pool"
  etcdPoolDirectory=$poolDirectory
  if [ "$etcdPool" != "$pool" ]; then
    local rootPoolDirectory=$poolDirectory
    inspect_pool "$etcdPool"
    etcdPoolDirectory=$poolDirectory
    poolDirectory=$rootPoolDirectory
  fi
}
# Only for the lists of other tools; a pool that is busy shows the change at its next refresh.
refresh_pools() {
  local each
  for each in "$pool" "$etcdPool"; do vir pool-refresh "$each" >/dev/null 2>&1 || true; done
}

volume_files() {
  rootFile=$poolDirectory/$domain-root.qcow2
  seedFile=$poolDirectory/$domain-seed.iso
  etcdFile=$etcdPoolDirectory/$domain-etcd.raw
}

# store <what> <path, or nothing> <url, or nothing> <sha256> <target>: whole under its own name, or not there.
store() {
  local what=$1 path=$2 url=$3 sha256=$4 target=$5 partial=$5.partial size actual
  rm -f "$partial"
  if [ -e "$target" ]; then return 0; fi
  if [ -n "$path" ]; then
    [ -r "$path" ] || fail "$hypervisor: the $what $path is not there"
    size=$(($(stat -L -c '%b * %B' "$path")))
    [ "$size" -le "$(free_bytes "$poolDirectory")" ] ||
      fail "$hypervisor: storage pool $pool is full: the $what needs $(human "$size"), $(human "$(free_bytes "$poolDirectory")") are free in $poolDirectory"
    step "copies the $what $path into pool $pool"
    cp --sparse=always --reflink=auto -- "$path" "$partial" || { rm -f "$partial"; fail "$hypervisor: could not copy the $what $path to $partial"; }
  else
    command -v curl >/dev/null || fail "$hypervisor: curl is not installed, and the $what is to be downloaded"
    step "downloads the $what $url into pool $pool"
    curl -fsSL --retry 3 --connect-timeout 30 --speed-limit 1024 --speed-time 120 -o "$partial" -- "$url" ||
      { rm -f "$partial"; fail "$hypervisor: could not download the $what $url"; }
  fi
  chmod 644 "$partial"
  actual=$(sha256sum <"$partial")
  actual=${actual%% *}
  if [ "$actual" != "$sha256" ]; then
    rm -f "$partial"
    fail "$hypervisor: the $what ${path:-$url} has the sha256 $actual, and the site file says $sha256: correct the one that is wrong"
  fi
  attempt "write the $what to disk" sync "$partial"
  mv -f "$partial" "$target"
}

store_bases() {
  local format
  store 'base image' "$imagePath" "$imageUrl" "$imageSha256" "$poolDirectory/$imageName"
  format=$(qemu-img info -U "$poolDirectory/$imageName" | sed -n 's/^file format: //p')
  [ "$format" = "$imageFormat" ] ||
    fail "$hypervisor: the base image ${imagePath:-$imageUrl} has the format $format, and the site file says $imageFormat"
  if [ -n "$kernelName" ]; then
    store kernel "$kernelPath" '' "$kernelSha256" "$poolDirectory/$kernelName"
    store 'initial RAM disk' "$initrdPath" '' "$initrdSha256" "$poolDirectory/$initrdName"
  fi
}

publish_bundle() {
  local target=$poolDirectory/$bundleName actual
  step "checks the bundle in pool $pool"
  actual=$(sha256sum <"$target.partial")
  if [ "${actual%% *}" != "$bundleSha256" ]; then
    rm -f "$target.partial"
    fail "$hypervisor: the image of the bundle $bundleId has the sha256 ${actual%% *} and not $bundleSha256: it was changed or damaged; build the bundle again"
  fi
  chmod 644 "$target.partial"
  attempt 'write the bundle to disk' sync "$target.partial"
  mv -f "$target.partial" "$target"
}

store_bundle() {
  local target=$poolDirectory/$bundleName image=$SITEWRIGHT_CACHE/bundles/$bundleId.iso size ticker code=0
  if [ -e "$target" ]; then return 0; fi
  rm -f "$target.partial"
  [ -r "$image" ] || fail "$hypervisor: the bundle $bundleId is not in the cache of this machine: $image is not there; build the bundle again"
  size=$(stat -L -c %s "$image")
  [ "$size" -le "$(free_bytes "$poolDirectory")" ] ||
    fail "$hypervisor: storage pool $pool is full: the bundle needs $(human "$size"), $(human "$(free_bytes "$poolDirectory")") are free in $poolDirectory"
  step "copies the bundle ($(human "$size")) into pool $pool"
  (
    while sleep 10 >/dev/null 2>&1; do
      step "copies the bundle into pool $pool: $(human "$(stat -c %s "$target.partial")") of $(human "$size")"
    done
  ) 9<&- &
  ticker=$!
  cp --sparse=always --reflink=auto -- "$image" "$target.partial" || code=$?
  kill "$ticker"
  wait "$ticker" || true
  if [ "$code" != 0 ]; then
    rm -f "$target.partial"
    fail "$hypervisor: could not copy the bundle $image to $target.partial"
  fi
  publish_bundle
}

give_up_bundles() { rm -f "$poolDirectory"/.sitewright-bundle-*.iso."$site"."$stamp"; }

remove_unused_bundles() {
  local domain file used=''
  for domain in $domains; do
    used+=$(vir domblklist "$domain" 2>/dev/null; vir domblklist "$domain" --inactive 2>/dev/null) || true
  done
  for file in "$poolDirectory"/sitewright-bundle-*.iso; do
    [ -e "$file" ] || continue
    if compgen -G "$poolDirectory/.${file##*/}.*" >/dev/null; then continue; fi
    case $used in
      *"$file"*) ;;
      *) step "removes $file"; rm -f "$file" "$file.partial" ;;
    esac
  done
}

# bundle_disk [--inactive]: the file of the bundle's disk, as the machine runs or starts the next time; or nothing.
bundle_disk() { vir domblklist "$domain" "$@" | awk '$1 == "vdd" { print $2 }'; }

# Before the machine starts: with the disk of the bundle from its first moment on.
configure_bundle() {
  local earlier
  bundleFile=
  if [ -n "$bundleName" ]; then
    bundleFile=$poolDirectory/$bundleName
    store_bundle
  else
    give_up_bundles
  fi
  bundleDisk=${bundleDisk//@bundleFile@/"$bundleFile"}
  bundleChanged=no
  earlier=$(bundle_disk --inactive)
  if [ "$earlier" = "$bundleFile" ]; then return 0; fi
  if [ -n "$earlier" ]; then
    bundleChanged=yes
    attempt "take the earlier bundle out of the definition of $machine" vir detach-disk "$domain" vdd --config
  fi
  if [ -n "$bundleFile" ]; then
    attempt "define the disk of the bundle of $machine" vir attach-device "$domain" /dev/stdin --config <<<"$bundleDisk"
  fi
}

# In the machine that runs. Not to be had at once is only a disk for which the machine has no free port.
exchange_bundle() {
  local earlier output
  if [ "$(vir domstate "$domain")" = 'shut off' ]; then return 0; fi
  earlier=$(bundle_disk)
  if [ "$earlier" = "$bundleFile" ]; then return 0; fi
  if [ -n "$earlier" ]; then
    bundleChanged=yes
    step "takes the earlier bundle from $machine"
    unplug_bundle
  fi
  if [ -n "$bundleFile" ]; then
    step "gives $machine the disk of the bundle"
    output=$(vir attach-device "$domain" /dev/stdin --live <<<"$bundleDisk" 2>&1) || case $output in
      *'No more available PCI slots'*)
        step "$machine has no free PCIe port: it has the disk of the bundle after a restart (a reboot from inside is not enough): virsh -c '$uri' shutdown $domain, then virsh -c '$uri' start $domain"
        ;;
      *) fail "$hypervisor: could not give $machine the disk of the bundle: $(printf '%s\n' "$output" | sed '/^ *$/d' | tail -n 1)" ;;
    esac
  fi
}

# A guest that is starting does not hear the first request.
unplug_bundle() {
  local limit=$((SECONDS + 300))
  until [ -z "$(bundle_disk)" ]; do
    [ "$SECONDS" -lt "$limit" ] ||
      fail "$hypervisor: $machine has not let go of the disk of the earlier bundle for 5 minutes; it has the new one after a restart: virsh -c '$uri' destroy $domain, then virsh -c '$uri' start $domain"
    vir detach-disk "$domain" vdd --live >/dev/null 2>&1 || true
    if [ -n "$(bundle_disk)" ]; then sleep 1; fi
  done
}

# After the last machine has let go of it.
remove_earlier_bundles() {
  local domains
  if [ "$bundleChanged" = no ]; then return 0; fi
  domains=$(vir list --all --name) || fail "$hypervisor: libvirt does not list its domains"
  remove_unused_bundles
}

refuse_foreign_domain() {
  local removal="virsh -c '$uri' destroy $domain; virsh -c '$uri' undefine $domain --nvram --managed-save --remove-all-storage"
  if [ -z "$existing" ] || is_ours; then return 0; fi
  if [ "$stampSite" = "$site" ] && [ "$stampMachine" = "$machine" ]; then
    fail "$domain on $hypervisor was made by another state of the site $site ($stampId, and this one is $stamp): continue with that state, take the machines over with: sitewright adopt $site, or remove this one with: $removal"
  fi
  if [ -n "$stampSite" ]; then
    fail "$domain on $hypervisor is the machine $stampMachine of the site $stampSite: give this machine another name, or remove that one with: $removal"
  fi
  fail "$hypervisor has a domain $domain that sitewright did not make: give this machine another name, or remove that one with: $removal"
}

check_attachment() {
  if [ -n "$bridge" ]; then
    [ -d "/sys/class/net/$bridge/bridge" ] ||
      problem "there is no bridge $bridge (there is: $(ip -o link show type bridge | awk -F ': ' '{ print $2 }' | xargs))"
  else
    [ "$(vir net-info "$libvirtNetwork" 2>/dev/null | sed -n 's/^Active: *//p')" = yes ] ||
      problem "there is no active libvirt network $libvirtNetwork (active: $(vir net-list --name | xargs))"
  fi
}

# A volume of ours only exists beside the domain that carries the stamp.
check_volumes() {
  local file
  for file in "$rootFile" "$etcdFile" "$seedFile"; do
    rm -f "$file.partial"
    if [ -z "$existing" ] && [ -e "$file" ]; then
      problem "$file is there, but its domain $domain is not, so nothing proves whose data it is; remove it to go on"
    fi
  done
  check_size 'root disk' "$rootFile" "$rootBytes"
  if [ -n "$etcdBytes" ]; then check_size 'etcd disk' "$etcdFile" "$etcdBytes"; fi
}
check_size() {
  local what=$1 file=$2 wanted=$3 current
  [ -e "$file" ] || return 0
  current=$(virtual_size "$file")
  if [ "$wanted" -lt "$current" ]; then
    problem "the $what of $machine has $(human "$current") and cannot shrink to $(human "$wanted"); put the larger size back, or make the machine again"
  fi
}

# Thin volumes count in full: a guest that fills its disk must not find the pool full.
check_space() {
  local root etcd
  root=$(missing_bytes "$rootFile" "$rootBytes")
  etcd=0
  if [ -n "$etcdBytes" ]; then etcd=$(missing_bytes "$etcdFile" "$etcdBytes"); fi
  if [ "$(stat -c %d "$poolDirectory")" = "$(stat -c %d "$etcdPoolDirectory")" ]; then
    check_free "$pool" "$poolDirectory" $((root + etcd))
  else
    check_free "$pool" "$poolDirectory" "$root"
    check_free "$etcdPool" "$etcdPoolDirectory" "$etcd"
  fi
}
missing_bytes() { if [ -e "$1" ]; then echo $(($2 - $(virtual_size "$1"))); else echo "$2"; fi; }
check_free() {
  local free
  free=$(free_bytes "$2")
  if [ "$3" -gt "$free" ]; then
    problem "storage pool $1 is full: the disks of $machine need $(human "$3"), and $(human "$free") are free in $2"
  fi
}

# kvm where libvirt offers it and the device opens. A machine keeps the type it was made with.
detect_domain_type() {
  cpuFeatures=
  if [ "$domainType" = auto ] && [ -n "$existing" ]; then
    domainType=$(printf '%s\n' "$existing" | sed -n "s/^<domain type='\([a-z]*\)'.*/\1/p")
  elif [ "$domainType" = auto ]; then
    domainType=qemu
    if vir domcapabilities --virttype kvm >/dev/null 2>&1 && (: <>/dev/kvm) 2>/dev/null; then domainType=kvm; fi
  fi
  if [ "$cpuMode" = auto ]; then
    case $domainType in kvm) cpuMode=host-passthrough ;; *) cpuMode=maximum cpuFeatures=$emulatedCpuFeatures ;; esac
  fi
}

# detect_access <directory>: sets cache and io.
detect_access() {
  local probe=$1/.$domain.probe
  cache=$directCache io=$directIo
  dd if=/dev/zero of="$probe" bs=4096 count=1 oflag=direct status=none 2>/dev/null || { cache=$cachedCache io=$cachedIo; }
  rm -f "$probe"
}

# A machine that is made anew is another one, also to tools that know it by its UUID; one whose making was cut off, or that
# is changed in place, keeps what it has.
choose_uuid() {
  uuid=$(printf '%s\n' "$existing" | sed -n 's:^  <uuid>\(.*\)</uuid>:\1:p')
  if [ -z "$uuid" ]; then uuid=$(</proc/sys/kernel/random/uuid); fi
  metaData=${metaData//"@uuid@"/"$uuid"}
}

# fill <placeholder> <value>
fill() { xml=${xml//"@$1@"/"$2"}; }

# complete_xml: sets xml, and configuration, the fingerprint of all but its <os>. A machine keeps the <os> it was made with
# (kernel, boot, machine type): an edit of the image reaches new machines only.
complete_xml() {
  local cache io before after kept
  xml=$domainXml
  fill uuid "$uuid"
  fill domainType "$domainType"
  fill cpuMode "$cpuMode"
  if [ -n "$cpuFeatures" ]; then xml=${xml/'check="none"/>'/'check="none">'"$cpuFeatures</cpu>"}; fi
  fill rootFile "$rootFile"
  fill etcdFile "$etcdFile"
  fill seedFile "$seedFile"
  detect_access "$poolDirectory"
  fill rootCache "$cache"
  fill rootIo "$io"
  if [ -n "$etcdBytes" ]; then
    detect_access "$etcdPoolDirectory"
    fill etcdCache "$cache"
    fill etcdIo "$io"
    if [ "$cache" != "$directCache" ]; then
      step "warning: $etcdPoolDirectory has no direct access (O_DIRECT), so the etcd disk goes through the page cache of $hypervisor"
    fi
  fi
  before=${xml%%'  <os>'*}
  after=${xml#*'</os>'}
  configuration=$(printf '%s%s' "$before" "$after" | sha256sum)
  configuration=${configuration%% *}
  if [ -n "$existing" ]; then
    kept=$(printf '%s\n' "$existing" | sed -n '/^  <os/,/^  <\/os>/p')
    xml=$before$kept$after
  fi
  fill kernelFile "$poolDirectory/$kernelName"
  fill initrdFile "$poolDirectory/$initrdName"
  fill configuration "$configuration"
}

# Only a machine that has no root disk yet, or lost its kernel, needs the base image.
provide_bases() {
  local size needed=no file
  if [ ! -e "$rootFile" ]; then needed=yes; fi
  for file in $(printf '%s\n' "$existing" | sed -n 's:^ *<\(kernel\|initrd\)>\(.*\)</.*:\2:p'); do
    if [ ! -e "$file" ]; then needed=yes; fi
  done
  if [ "$needed" = no ]; then return 0; fi
  store_bases
  size=$(virtual_size "$poolDirectory/$imageName")
  [ "$size" -le "$rootBytes" ] ||
    fail "$hypervisor: the root disk of $machine has $(human "$rootBytes"), and the image alone needs $(human "$size"): give it more"
}

define_domain() {
  local current
  current=$(attribute configuration "$(stamp_of "$domain")")
  if [ -n "$existing" ] && [ "$current" = "$configuration" ]; then return 0; fi
  step "defines $domain on $hypervisor ($domainType)"
  attempt "define $domain" vir define --validate /dev/stdin <<<"$xml"
}

make_volumes() {
  local base=$poolDirectory/$imageName partial
  if [ ! -e "$rootFile" ]; then
    partial=$rootFile.partial
    if [ "$volumes" = overlay ]; then
      step "makes the root disk of $machine over the base image"
      attempt 'make the root disk' qemu-img create -q -f qcow2 -b "$base" -F "$imageFormat" "$partial" "$rootBytes"
    else
      step "copies the base image to the root disk of $machine"
      attempt 'copy the base image' qemu-img convert -f "$imageFormat" -O qcow2 "$base" "$partial"
      attempt 'size the root disk' qemu-img resize -q -f qcow2 "$partial" "$rootBytes"
    fi
    publish "$partial" "$rootFile"
  fi
  if [ -n "$etcdBytes" ] && [ ! -e "$etcdFile" ]; then
    partial=$etcdFile.partial
    step "makes the etcd disk of $machine"
    # Allocated at once: etcd never waits for the file system to find room, and cannot lose it to another volume.
    attempt 'make the etcd disk' qemu-img create -q -f raw -o preallocation=falloc "$partial" "$etcdBytes"
    publish "$partial" "$etcdFile"
  fi
}
publish() {
  attempt "write $1 to disk" sync "$1"
  mv -f "$1" "$2"
}

# The seed holds the private host key: what it is made of is in memory only, and nobody else may read it.
make_seed() {
  local tool=()
  if [ -e "$seedFile" ]; then return 0; fi
  if command -v genisoimage >/dev/null; then
    tool=(genisoimage)
  elif command -v mkisofs >/dev/null; then
    tool=(mkisofs)
  elif command -v xorriso >/dev/null; then
    tool=(xorriso -as genisoimage)
  else
    fail "$hypervisor: none of genisoimage, mkisofs and xorriso is installed; one of them makes the seed of a machine"
  fi
  step "makes the cloud-init seed of $machine"
  umask 077
  temporary=/run/sitewright-seed-$domain
  rm -rf "$temporary"
  mkdir "$temporary"
  printf '%s' "$metaData" >"$temporary/meta-data"
  printf '%s' "$networkConfig" >"$temporary/network-config"
  printf '%s' "$userData" >"$temporary/user-data"
  attempt 'make the seed' "${tool[@]}" -quiet -volid cidata -joliet -rock -output "$seedFile.partial" "$temporary"
  publish "$seedFile.partial" "$seedFile"
  rm -rf "$temporary"
  temporary=
  umask 022
}

# grow <what> <file> <format> <device> <wanted>
grow() {
  local what=$1 file=$2 format=$3 device=$4 wanted=$5
  if [ "$wanted" = "$(virtual_size "$file")" ]; then return 0; fi
  step "grows the $what of $machine to $(human "$wanted")"
  if [ "$(vir domstate "$domain")" = 'shut off' ]; then
    attempt "grow the $what" qemu-img resize -q -f "$format" "$file" "$wanted"
  else
    attempt "grow the $what" vir blockresize "$domain" "$device" "${wanted}B"
  fi
  step "the file systems on the $what of $machine grow when it starts the next time"
}

start_domain() {
  local state
  if [ "$autostart" = yes ]; then
    attempt "set autostart of $domain" vir autostart "$domain"
  else
    attempt "unset autostart of $domain" vir autostart --disable "$domain"
  fi
  state=$(vir domstate "$domain")
  case $state in
    running | idle | 'in shutdown') ;;
    paused) fail "$hypervisor: $domain is paused ($(vir domstate --reason "$domain" | sed 's/.*(\(.*\))/\1/')); free its disk space if that is the reason, then: virsh -c '$uri' resume $domain" ;;
    *)
      step "starts $domain"
      attempt "start $domain" vir start "$domain"
      ;;
  esac
}

# The host side of the interface rises before the guest does. It sinks at the next start, after the guest.
raise_mtu() {
  local device path
  for device in $(vir domiflist "$domain" | awk -v mac="$mac" '$5 == mac { print $1 }'); do
    path=/sys/class/net/$device/mtu
    if [ -e "$path" ] && [ "$(cat "$path")" -lt "$hostMtuBytes" ]; then
      step "raises the MTU of $device, the host side of $machine, to $hostMtuBytes"
      attempt "raise the MTU of $device" ip link set dev "$device" mtu "$hostMtuBytes"
    fi
  done
}

report_restart() {
  if [ "$(attribute configuration "$(vir metadata "$domain" "$stampNamespace" --live 2>/dev/null || true)")" != "$configuration" ]; then
    step "the new configuration of $machine takes effect after a restart of the machine (a reboot from inside is not enough): virsh -c '$uri' shutdown $domain, then virsh -c '$uri' start $domain"
  fi
}

main() {
  require_libvirt
  inspect_pools
  check_attachment
  stop_on_problems
  lock_pool "$poolDirectory"
  volume_files
  read_domain
  refuse_foreign_domain
  check_volumes
  check_space
  stop_on_problems
  provide_bases
  detect_domain_type
  choose_uuid
  complete_xml
  define_domain
  make_volumes
  make_seed
  configure_bundle
  grow 'root disk' "$rootFile" qcow2 vda "$rootBytes"
  if [ -n "$etcdBytes" ]; then grow 'etcd disk' "$etcdFile" raw vdb "$etcdBytes"; fi
  start_domain
  exchange_bundle
  remove_earlier_bundles
  raise_mtu
  report_restart
  refresh_pools
  printf '{"domain":"%s","uuid":"%s","domainType":"%s"}\n' "$domain" "$uuid" "$domainType"
}

main </dev/null
