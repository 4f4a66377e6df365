#!/bin/sh
# Runs once, inside the root of Debian packages ($1) that becomes the upper layer of the toolbox image, after
# kube-proxy-root.sh has run in it as well. $2 lists the files of the layer below, each ended by a zero byte.
set -eu
root=$1

# The same packages are the same files: what the layer below has is not carried again.
(cd "$root" && xargs -0 rm -f --) <"$2"

# Packages are unpacked and none of their scripts runs, so what only those scripts need is of no use in the image.
for gone in usr/share/perl usr/lib/x86_64-linux-gnu/perl usr/lib/aarch64-linux-gnu/perl usr/lib/x86_64-linux-gnu/perl-base \
  usr/lib/aarch64-linux-gnu/perl-base lib/x86_64-linux-gnu/security lib/aarch64-linux-gnu/security usr/lib/dpkg usr/share/dpkg \
  usr/share/adduser usr/share/pam usr/share/pam-configs usr/share/base-passwd usr/share/gcc usr/share/gdb usr/share/zoneinfo \
  usr/share/menu usr/share/applications usr/share/bash-completion usr/lib/systemd lib/systemd usr/lib/python3.11/lib2to3; do
  rm -rf "${root:?}/$gone"
done
rm -f "$root"/usr/bin/perl* "$root"/usr/bin/dpkg* "$root"/usr/lib/*/libperl.so* "$root"/usr/sbin/user* "$root"/usr/sbin/group* \
  "$root"/usr/sbin/adduser "$root"/usr/sbin/deluser "$root"/usr/sbin/pam* "$root"/lib/*/libsemanage.so* \
  "$root"/usr/lib/*/libsemanage.so* "$root"/lib/*/libsepol.so*

# Small programs for whoever looks into a pod. The list leaves out what is in the layer below or in a package of its own.
for applet in awk basename cat chmod chroot clear cp cut date df dirname du env find grep head hexdump id kill less ls mkdir \
  mkfifo more mv nc netstat nsenter nslookup pidof ps pwd readlink rm sed seq sleep sort stat tail tee telnet timeout top \
  touch tr traceroute true uname uniq vi watch wc wget whoami xargs; do
  ln -s busybox "$root/bin/$applet"
done
# tcpdump gives up being root for a user that the script of its package would make.
echo 'root:x:0:0:root:/root:/bin/bash
tcpdump:x:100:100::/nonexistent:/usr/sbin/nologin' >"$root/etc/passwd"
echo 'root:x:0:
tcpdump:x:100:' >"$root/etc/group"
mkdir -p "$root/root"
