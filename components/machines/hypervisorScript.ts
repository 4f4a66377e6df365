/**
 * What every script on a hypervisor starts with. A script is a list of variables and a constant text: values never
 * become code. All of it is read before any of it runs, so a connection that drops in the middle changes nothing.
 * Each step writes `step: <text>` to stderr; a failure ends with one sentence there and exit code 1.
 */

export type ShellValue = string | number;

export interface HypervisorScript {
  variables: Record<string, ShellValue>;
  /** Function definitions, `main` among them. */
  functions: string[];
  /** Where bash reads the script from: create and update are sent by stdin, delete is an argument. */
  readFrom: 'stdin' | 'argument';
  /**
   * Sets SITEWRIGHT_CACHE to the cache of the user who runs the script, also where root goes on: for scripts that the
   * machine of the engine gets by stdin. Default: not set.
   */
  usesCache?: boolean;
}

export function hypervisorVariables(hypervisor: {
  name: string;
  uri: string;
  pool: string;
}): Record<string, ShellValue> {
  return { hypervisor: hypervisor.name, uri: hypervisor.uri, pool: hypervisor.pool };
}

export function shellQuote(value: ShellValue): string {
  return `'${String(value).replace(/'/g, `'\\''`)}'`;
}

export function hypervisorScript({ variables, functions, readFrom, usesCache = false }: HypervisorScript): string {
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${shellQuote(value)}`);
  const parts = [
    asRoot(readFrom, usesCache),
    assignments.join('\n'),
    COMMON_FUNCTIONS,
    ...functions,
    'main </dev/null',
  ];
  return `${parts.map((part) => part.trim()).join('\n\n')}\n`;
}

/** One line, because bash must not have read further when sudo's bash takes over its stdin. */
function asRoot(readFrom: HypervisorScript['readFrom'], usesCache: boolean): string {
  const bash = readFrom === 'stdin' ? 'bash -s' : 'bash -c "$BASH_EXECUTION_STRING"';
  // As cacheDir() finds it: root's own, whatever HOME sudo left; and found before sudo, which gives root a home of its own.
  const setCache = usesCache
    ? 'SITEWRIGHT_CACHE=$HOME; [ "$(id -u)" != 0 ] || SITEWRIGHT_CACHE=~root; SITEWRIGHT_CACHE=${XDG_CACHE_HOME:-$SITEWRIGHT_CACHE/.cache}/sitewright; '
    : '';
  const again = usesCache ? `env SITEWRIGHT_CACHE="$SITEWRIGHT_CACHE" ${bash}` : bash;
  const refusal = `echo "$(id -un)@$(uname -n): the user needs sudo without a password, or connect as root" >&2; exit 1;`;
  return `${setCache}[ "$(id -u)" = 0 ] || { sudo -n true 2>/dev/null || { ${refusal} }; exec sudo -n ${again}; }`;
}

/** A download or a full copy of another machine holds the pool this long at most; waiting for it is shown. */
const LOCK_TIMEOUT_SECONDS = 3600;
/** A libvirtd that does not answer a trivial question for this long hangs. */
const LIBVIRT_TIMEOUT_SECONDS = 60;

const COMMON_FUNCTIONS = `
set -Eeuo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
umask 022
failed=no
temporary=
problems=()

step() { printf 'step: %s\\n' "$*" >&2; }
fail() { failed=yes; printf '%s\\n' "$*" >&2; exit 1; }
problem() { problems+=("$*"); }
stop_on_problems() {
  if [ "\${#problems[@]}" -gt 0 ]; then
    local all
    printf -v all '%s; ' "\${problems[@]}"
    fail "$hypervisor: \${all%; }"
  fi
}
at_exit() {
  local code=$1
  if [ -n "$temporary" ]; then rm -rf "$temporary"; fi
  if [ "$code" != 0 ] && [ "$failed" = no ]; then printf '%s\\n' "$hypervisor: exit code $code of: $failing" >&2; fi
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
  output=$("$@" 2>&1) || fail "$hypervisor: could not $what: $(printf '%s\\n' "$output" |
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
  answer=$(timeout ${LIBVIRT_TIMEOUT_SECONDS} virsh -q -c "$uri" uri 2>&1) ||
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
  type=$(printf '%s\\n' "$xml" | sed -n "s/^<pool type='\\([a-z]*\\)'.*/\\1/p")
  case $type in
    dir | fs | netfs) ;;
    *) problem "storage pool $pool has the type $type; machines need one that holds files (dir, fs, netfs)"; return 0 ;;
  esac
  [ "$(vir pool-info "$pool" | sed -n 's/^State: *//p')" = running ] || {
    problem "storage pool $pool is not active; start it with: virsh -c '$uri' pool-start $pool"
    return 0
  }
  poolDirectory=$(printf '%s\\n' "$xml" | sed -n 's:^ *<path>\\(.*\\)</path>$:\\1:p' | tail -n 1)
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
    flock -w ${LOCK_TIMEOUT_SECONDS} 9 || fail "$hypervisor: another run has held $1 for ${LOCK_TIMEOUT_SECONDS / 60} minutes; end it and run again"
  }
}

# attribute <name> <element>: of the stamp, as virsh metadata prints it.
attribute() { printf '%s' "$2" | sed -n "s/.* $1=[\\"']\\([^\\"']*\\)[\\"'].*/\\1/p"; }
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
virtual_size() { qemu-img info -U "$1" | sed -n 's/^virtual size: .*(\\([0-9]*\\) bytes).*/\\1/p'; }
`;
