#!/bin/sh
# Installs the Debian or Ubuntu packages the lab needs on this machine, and only those that are missing.
# Nothing it installs is started or enabled: the lab runs its own libvirtd in its own namespace, and the machine's
# services are its owner's business.
#
#   scripts/lab/packages.sh           install what is missing (root)
#   scripts/lab/packages.sh --tests   and what the tests look at their texts with
#   scripts/lab/packages.sh --gcc     and what a bundle with Calico is linked with
#   scripts/lab/packages.sh --check   print what is missing, change nothing; exit 1 if anything is
set -eu

# One line per need: the command that proves it is there, then the package that brings it.
NEEDS='
curl                 curl
dnsmasq              dnsmasq-base
ethtool              ethtool
ip                   iproute2
jq                   jq
libvirtd             libvirt-daemon
mke2fs               e2fsprogs
mmdebstrap           mmdebstrap
nft                  nftables
nsenter              util-linux
ping                 iputils-ping
ps                   procps
python3              python3
qemu-img             qemu-utils
qemu-system-x86_64   qemu-system-x86
ssh                  openssh-client
sshd                 openssh-server
tcpdump              tcpdump
virsh                libvirt-clients
xorriso              xorriso
'
[ "${1:-}" != --tests ] || NEEDS="$NEEDS
haproxy              haproxy
keepalived           keepalived
shellcheck           shellcheck
xmllint              libxml2-utils
"
# A browser for the report, under whatever name it is there already; Ubuntu has no package of Chromium, only a snap.
if [ "${1:-}" = --tests ] && ! command -v google-chrome >/dev/null 2>&1 && ! command -v chromium-browser >/dev/null 2>&1; then
  NEEDS="$NEEDS
chromium             chromium
"
fi
[ "${1:-}" != --gcc ] || NEEDS="$NEEDS
gcc                  gcc
"
# libvirtd loads its drivers as libraries, so no command proves them. Debian 12 carries all but QEMU's in libvirt-daemon;
# later releases have a package for each.
DRIVERS='qemu storage network'

PATH="$PATH:/usr/sbin:/sbin"
missing=$(printf '%s\n' "$NEEDS" | while read -r command package; do
  [ -z "$command" ] || command -v "$command" >/dev/null 2>&1 || printf '%s ' "$package"
done)
for driver in $DRIVERS; do
  package=libvirt-daemon-driver-$driver
  if [ -z "$(find /usr/lib -path '*libvirt*' -name "libvirt_driver_$driver.so" 2>/dev/null | head -n 1)" ] &&
    { [ "$driver" = qemu ] || apt-cache show "$package" >/dev/null 2>&1; }; then
    missing="$missing$package "
  fi
done
# libvirt's driver of QEMU does not start without this user, even where its configuration names another.
id -u libvirt-qemu >/dev/null 2>&1 || missing="${missing}libvirt-daemon-system "
# Release keys: mmdebstrap checks Debian's signatures with them, also on Ubuntu.
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="${missing}debian-archive-keyring "

if [ -z "$missing" ]; then
  exit 0
fi
if [ "${1:-}" = --check ]; then
  echo "missing packages: $missing"
  exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "The lab needs these Debian packages, and this machine has no apt-get: $missing" >&2
  echo "Install what your distribution calls them, or run the lab on Debian 12/13 or Ubuntu 22.04/24.04." >&2
  exit 2
fi
if [ "$(id -u)" != 0 ]; then
  echo "The lab needs these packages: $missing" >&2
  echo "Install them with: sudo apt-get install --no-install-recommends $missing" >&2
  exit 2
fi

echo "installing: $missing"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=no
cleanup() {
  rm -f "$log"
  [ "$made_policy" = no ] || rm -f "$policy"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# policy-rc.d answers 101 ("not allowed") to every start that a package's own script asks for.
if [ ! -e "$policy" ]; then
  made_policy=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

# units_on prints the units of the packages that would start at the next boot.
units_on() {
  systemctl list-unit-files --state=enabled --no-legend 'libvirt*' 'virtlo*' 'ssh*' 2>/dev/null | awk '{print $1}' | sort
}
has_systemd=no
if [ -d /run/systemd/system ]; then
  has_systemd=yes
  enabled_before=$(units_on)
fi

# shellcheck disable=SC2086 # one word per package
install_packages() {
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing >"$log" 2>&1
}
# Old package lists name files that the mirror no longer has: refresh them once and try again.
install_packages || { apt-get update >>"$log" 2>&1 && install_packages; } || {
  tail -n 20 "$log" >&2
  echo "apt-get could not install: $missing" >&2
  exit 1
}

if [ "$has_systemd" = yes ]; then
  for unit in $(units_on); do
    printf '%s\n' "$enabled_before" | grep -qxF "$unit" || systemctl disable --quiet "$unit" || true
  done
fi
