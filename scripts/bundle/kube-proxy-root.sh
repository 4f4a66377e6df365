#!/bin/sh
# Runs once, inside the root of Debian packages ($1) that becomes the lower layer of kube-proxy's image. The packages are
# unpacked and not set up: no script of theirs runs, so what those scripts would do and kube-proxy needs is done here.
set -eu
root=$1

# Debian's default. Nodes use nftables below iptables as well: rules of both kinds on one machine would not see each other.
for family in iptables ip6tables; do
  for program in '' -save -restore; do
    ln -s xtables-nft-multi "$root/usr/sbin/$family$program"
  done
done
# For whoever has to look into the container.
ln -s busybox "$root/bin/sh"

# Licences stay; the rest of the documentation, the package manager's files and the devices of the build do not.
find "$root/usr/share/doc" ! -type d ! -name copyright -delete
find "$root/usr/share/doc" -type d -empty -delete
for gone in usr/share/man usr/share/locale usr/share/lintian usr/share/bash-completion usr/share/bug usr/share/info \
  usr/share/perl5 usr/share/pixmaps usr/share/initramfs-tools usr/share/debconf usr/include usr/lib/x86_64-linux-gnu/gconv \
  usr/lib/aarch64-linux-gnu/gconv var etc/apt etc/dpkg etc/init.d etc/resolv.conf etc/hostname etc/fstab etc/debconf.conf; do
  rm -rf "${root:?}/$gone"
done
rm -f "$root"/tmp/*
