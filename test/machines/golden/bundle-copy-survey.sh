[ "$(id -u)" = 0 ] || { sudo -n true 2>/dev/null || { echo "$1: the user $(id -un) needs sudo without a password, or connect as root" >&2; exit 1; }; exec sudo -n bash -c "$BASH_EXECUTION_STRING" sitewright "$@"; }
set -Eeuo pipefail
export LC_ALL=C
umask 022
machine=$1 directory=$2 id=$3
partial=$directory/$id.partial
complete=$directory/$id

step() { printf 'step: %s\n' "$*" >&2; }
fail() { printf '%s\n' "$machine: $*" >&2; exit 1; }
sha256_of() { sha256sum <"$1" | cut -c1-64; }
command -v sha256sum >/dev/null || fail 'sha256sum is not installed'
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
  rm -rf "${partial:?}/$path"
  mkdir -p "$(dirname "$partial/$path")"
  find_elsewhere "$path" "$sha256" || printf 'missing %s\n' "$path"
done <<<"$list"
printf 'free %s\n' "$(df -PB1 "$directory" | awk 'NR == 2 { print $4 }')"
