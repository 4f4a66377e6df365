SITEWRIGHT_CACHE=$HOME; [ "$(id -u)" != 0 ] || SITEWRIGHT_CACHE=~root; SITEWRIGHT_CACHE=${XDG_CACHE_HOME:-$SITEWRIGHT_CACHE/.cache}/sitewright; [ "$(id -u)" = 0 ] || { sudo -n true 2>/dev/null || { echo "$(id -un)@$(uname -n): the user needs sudo without a password, or connect as root" >&2; exit 1; }; exec sudo -n env SITEWRIGHT_CACHE="$SITEWRIGHT_CACHE" bash -s; }

hypervisor='hv1'
uri='qemu:///system'
pool='default'
site='acme'
stamp='4b1d'
bundleId='1212121212121212121212121212121212121212121212121212121212121212'
bundleSha256='3434343434343434343434343434343434343434343434343434343434343434'
bundleName='sitewright-bundle-1212121212121212.iso'

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

claim_bundle() {
  local claim
  for claim in "$poolDirectory"/.sitewright-bundle-*.iso."$site"."$stamp"; do
    if [ "$claim" != "$poolDirectory/.$bundleName.$site.$stamp" ]; then rm -f "$claim"; fi
  done
  : >"$poolDirectory/.$bundleName.$site.$stamp"
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

main() {
  require_libvirt
  inspect_pool "$pool"
  stop_on_problems
  lock_pool "$poolDirectory"
  claim_bundle
  store_bundle
  vir pool-refresh "$pool" >/dev/null 2>&1 || true
}

main </dev/null
