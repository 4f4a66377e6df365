[ "$(id -u)" = 0 ] || { sudo -n true 2>/dev/null || { echo "$(id -un)@$(uname -n): the user needs sudo without a password, or connect as root" >&2; exit 1; }; exec sudo -n bash -c "$BASH_EXECUTION_STRING"; }

hypervisor='hv1'
uri='qemu:///system'
pool='default'
site='acme'
stamp='4b1d'
stampNamespace='urn:sitewright:machine:1'

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

# Machines of this state, this hypervisor and this pool: those of the hypervisor under a new name or in a new pool stay.
remove_unknown_machines() {
  local domain metadata configuration file
  for domain in $domains; do
    metadata=$(stamp_of "$domain")
    [ "$(attribute site "$metadata")/$(attribute stamp "$metadata")" = "$site/$stamp" ] || continue
    [ "$(attribute hypervisor "$metadata")" = "$hypervisor" ] || continue
    configuration=$(vir dumpxml --inactive "$domain")
    case $configuration in *"'$poolDirectory/$domain-root.qcow2'"*) ;; *) continue ;; esac
    stop_domain "$domain"
    for file in $(printf '%s\n' "$configuration" | sed -n "s/.*<source file='\([^']*\)'.*/\1/p"); do
      case $file in */"$domain"-root.qcow2 | */"$domain"-etcd.raw | */"$domain"-seed.iso)
        rm -f "$file" "$file.partial" "$(dirname "$file")/.$domain.probe" ;;
      esac
    done
    rm -rf "/run/sitewright-seed-$domain"
    undefine_domain "$domain"
  done
}

# A base is in use when a domain names it or a volume of the pool is an overlay of it.
remove_unused_bases() {
  local domain file used=''
  for domain in $domains; do
    used+=$(vir dumpxml "$domain" 2>/dev/null; vir dumpxml --inactive "$domain" 2>/dev/null) || true
  done
  for file in "$poolDirectory"/*; do
    case $file in */sitewright-base-* | */sitewright-bundle-*) continue ;; esac
    if [ -f "$file" ]; then used+=$(qemu-img info -U "$file" 2>/dev/null | sed -n 's/^backing file: //p') || true; fi
  done
  for file in "$poolDirectory"/sitewright-base-*; do
    [ -e "$file" ] || continue
    case $used in
      *"$file"*) step "keeps $file, which another machine uses" ;;
      *) step "removes $file"; rm -f "$file" ;;
    esac
  done
}

list_domains() { domains=$(vir list --all --name) || fail "$hypervisor: libvirt does not list its domains"; }

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

main() {
  require_libvirt
  inspect_pool "$pool"
  if [ "${#problems[@]}" -gt 0 ]; then
    step "nothing to remove: ${problems[0]}"
    return 0
  fi
  lock_pool "$poolDirectory"
  list_domains
  remove_unknown_machines
  list_domains
  remove_unused_bases
  give_up_bundles
  remove_unused_bundles
  vir pool-refresh "$pool" >/dev/null 2>&1 || true
}

main </dev/null
