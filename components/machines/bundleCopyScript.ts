/**
 * The copy of a bundle on a machine that is not ours, in three steps that the agent runs over SSH: what is missing, one
 * file at a time, all of it under its name. Every script gets: the machine's name in messages, the folder of the bundles, the
 * bundle's id. Steps and failures are written to stderr. Run again after a kill at any point they end with the same folder.
 */

const PROLOGUE = `
[ "$(id -u)" = 0 ] || { sudo -n true 2>/dev/null || { echo "$1: the user $(id -un) needs sudo without a password, or connect as root" >&2; exit 1; }; exec sudo -n bash -c "$BASH_EXECUTION_STRING" sitewright "$@"; }
set -Eeuo pipefail
export LC_ALL=C
umask 022
machine=$1 directory=$2 id=$3
partial=$directory/$id.partial
complete=$directory/$id

step() { printf 'step: %s\\n' "$*" >&2; }
fail() { printf '%s\\n' "$machine: $*" >&2; exit 1; }
sha256_of() { sha256sum <"$1" | cut -c1-64; }
command -v sha256sum >/dev/null || fail 'sha256sum is not installed'
`.trim();

/**
 * stdin: a line \`<sha256>  <path>\` for each file. stdout: \`complete\`, or a line \`missing <path>\` for each file to send and
 * \`free <bytes>\`. Files that an earlier bundle has are taken from there.
 */
export const SURVEY_SCRIPT = `${PROLOGUE}
list=$(cat)
mkdir -p "$directory"

if [ -d "$complete" ]; then
  step "checks the bundle that $machine has"
  if (cd "$complete" && sha256sum --check --strict --status <<<"$list"); then
    echo complete
    exit 0
  fi
  step "the bundle on $machine was changed or damaged: what differs is copied again"
  rm -rf "$partial"
  mv "$complete" "$partial"
fi

# find_elsewhere <path> <sha256>: another bundle has the same file; it is one file then.
find_elsewhere() {
  local other
  for other in "$directory"/*/; do
    if [ -f "$other$1" ] && [ ! -L "$other$1" ] && [ "$(sha256_of "$other$1")" = "$2" ]; then
      ln -f "$other$1" "$partial/$1"
      return 0
    fi
  done
  return 1
}

mkdir -p "$partial"
find "$partial" -name '*.incoming' -delete
while read -r sha256 path; do
  if [ -f "$partial/$path" ] && [ "$(sha256_of "$partial/$path")" = "$sha256" ]; then continue; fi
  rm -rf "\${partial:?}/$path"
  mkdir -p "$(dirname "$partial/$path")"
  find_elsewhere "$path" "$sha256" || printf 'missing %s\\n' "$path"
done <<<"$list"
printf 'free %s\\n' "$(df -PB1 "$directory" | awk 'NR == 2 { print $4 }')"
`;

/** Two more arguments: path and sha256. stdin: the file. stdout: the sha256 of what arrived; only the right one stays. */
export const RECEIVE_SCRIPT = `${PROLOGUE}
path=$4 sha256=$5
file=$partial/$path
trap 'rm -f "$file.incoming"' EXIT
cat >"$file.incoming" || fail "could not write $file"
actual=$(sha256_of "$file.incoming")
if [ "$actual" = "$sha256" ]; then
  case $path in bin/* | cni/*) chmod 755 "$file.incoming" ;; *) chmod 644 "$file.incoming" ;; esac
  mv -f "$file.incoming" "$file"
fi
echo "$actual"
`;

/** stdin: as for the survey. The bundle gets its name; of the earlier ones the last stays, to go back to. */
export const FINISH_SCRIPT = `${PROLOGUE}
list=$(cat)
if [ ! -d "$complete" ]; then
  while read -r _ path; do
    [ -f "$partial/$path" ] || fail "$partial/$path is not there; another run works on this machine: end it and run again"
  done <<<"$list"
  sync -f "$partial"
  mv -T "$partial" "$complete"
fi
touch "$complete"

rm -rf "$directory"/*.partial
kept=no
while read -r other; do
  if [ "$other" = "$complete/" ]; then continue; fi
  if [ "$kept" = no ]; then
    kept=yes
  else
    step "removes the earlier bundle $other of $machine"
    rm -rf "$other"
  fi
done < <(ls -1dt "$directory"/*/)
`;
