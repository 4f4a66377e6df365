#!/bin/sh
# Runs once, inside the root of Debian packages ($1) that becomes the upper layer of calico-node's image, after the scripts
# of the layers that it shares packages with. $3 holds the files of the project's own image (node/filesystem).
set -eu
root=$1 files=$3

# What the start scripts of the project call has its name by now, but for this one.
mkdir -p "$root/usr/bin"
ln -s ../../bin/busybox "$root/usr/bin/which"

# The package has a link to services of its own there.
rm -rf "$root/etc/service" "$root/etc/sv" "$root/etc/runit"
cp -R "$files/etc/." "$root/etc/"
mkdir -p "$root/usr/sbin"
cp "$files"/sbin/* "$root/usr/sbin/"
# A Go module has no modes.
chmod -R u=rwX,go=rX "$root/etc"
chmod 0755 "$root/etc/rc.local" "$root"/usr/sbin/start_runit "$root"/usr/sbin/restart-calico-confd "$root"/usr/sbin/versions
find "$root/etc/service" -name run -exec chmod 0755 {} +
