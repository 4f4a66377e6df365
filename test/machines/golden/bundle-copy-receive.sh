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
