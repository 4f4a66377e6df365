/** The steps of a machine's script. `machineScript` gives them their values; see there for the order that makes them safe to repeat. */

export const MACHINE_FUNCTIONS = `
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
    domainType=$(printf '%s\\n' "$existing" | sed -n "s/^<domain type='\\([a-z]*\\)'.*/\\1/p")
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
  uuid=$(printf '%s\\n' "$existing" | sed -n 's:^  <uuid>\\(.*\\)</uuid>:\\1:p')
  if [ -z "$uuid" ]; then uuid=$(</proc/sys/kernel/random/uuid); fi
  metaData=\${metaData//"@uuid@"/"$uuid"}
}

# fill <placeholder> <value>
fill() { xml=\${xml//"@$1@"/"$2"}; }

# complete_xml: sets xml, and configuration, the fingerprint of all but its <os>. A machine keeps the <os> it was made with
# (kernel, boot, machine type): an edit of the image reaches new machines only.
complete_xml() {
  local cache io before after kept
  xml=$domainXml
  fill uuid "$uuid"
  fill domainType "$domainType"
  fill cpuMode "$cpuMode"
  if [ -n "$cpuFeatures" ]; then xml=\${xml/'check="none"/>'/'check="none">'"$cpuFeatures</cpu>"}; fi
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
  before=\${xml%%'  <os>'*}
  after=\${xml#*'</os>'}
  configuration=$(printf '%s%s' "$before" "$after" | sha256sum)
  configuration=\${configuration%% *}
  if [ -n "$existing" ]; then
    kept=$(printf '%s\\n' "$existing" | sed -n '/^  <os/,/^  <\\/os>/p')
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
  for file in $(printf '%s\\n' "$existing" | sed -n 's:^ *<\\(kernel\\|initrd\\)>\\(.*\\)</.*:\\2:p'); do
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
  attempt 'make the seed' "\${tool[@]}" -quiet -volid cidata -joliet -rock -output "$seedFile.partial" "$temporary"
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
    attempt "grow the $what" vir blockresize "$domain" "$device" "\${wanted}B"
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
    paused) fail "$hypervisor: $domain is paused ($(vir domstate --reason "$domain" | sed 's/.*(\\(.*\\))/\\1/')); free its disk space if that is the reason, then: virsh -c '$uri' resume $domain" ;;
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
`;

export const MACHINE_MAIN = `
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
  printf '{"domain":"%s","uuid":"%s","domainType":"%s"}\\n' "$domain" "$uuid" "$domainType"
}
`;
