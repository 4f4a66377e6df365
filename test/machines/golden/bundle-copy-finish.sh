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
