#!/bin/sh
# Runs once, on the machine that makes the lab image: turns a plain Debian root ($1) into one that a lab node boots from.
# Whatever costs time at boot and serves nobody on a node is switched off, because software emulation is some twenty
# times slower than a processor.
set -eu
root=$1

put() { # path: content from stdin
  mkdir -p "$(dirname "$root$1")"
  cat >"$root$1"
}

# An empty id (not "uninitialized") is filled at boot without the "first boot" that would enable every unit again.
: >"$root/etc/machine-id"
echo localhost >"$root/etc/hostname"
put /etc/hosts <<'EOF'
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
EOF
put /etc/fstab <<'EOF'
LABEL=sitewright-root / ext4 errors=remount-ro 0 0
EOF

# Only what a virtual machine of QEMU has: the search for other hardware is most of a general initrd.
put /etc/initramfs-tools/conf.d/sitewright <<'EOF'
MODULES=list
COMPRESS=lz4
RESUME=none
EOF
printf '%s\n' virtio_pci virtio_blk virtio_scsi sd_mod ext4 crc32c_generic >>"$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u -k all >/dev/null

# cloud-init: the seed disk is the only source, so nothing asks a metadata service and waits for it.
put /etc/cloud/cloud.cfg <<'EOF'
datasource_list: [NoCloud]
datasource: {NoCloud: {}}
disable_root: true
preserve_hostname: false
manage_etc_hosts: false
users: []
cloud_init_modules: [write-files, growpart, resizefs, set_hostname, users-groups, ssh]
cloud_config_modules: [ntp, runcmd]
cloud_final_modules: [scripts-user, final-message]
system_info:
  distro: debian
  network: {renderers: [networkd]}
  paths: {cloud_dir: /var/lib/cloud/, templates_dir: /etc/cloud/templates/}
  ssh_svcname: ssh
EOF
# The units that detect a datasource look for this file; it saves the search at every boot.
put /etc/cloud/ds-identify.cfg <<'EOF'
policy: enabled
datasource: NoCloud
EOF

chroot "$root" systemctl --quiet enable systemd-networkd.service systemd-resolved.service
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer systemd-pstore.service getty@tty1.service remote-fs.target cloud-init-hotplugd.socket nftables.service ipvsadm.service haproxy.service keepalived.service; do
  chroot "$root" systemctl --quiet disable "$unit" 2>/dev/null || true
done
# "Online" is an address that may be used. systemd's own idea also waits 12 s for a router advertisement that a network with
# static addresses never sends, and cloud-init 22.4 cannot switch those off.
put /etc/systemd/system/systemd-networkd-wait-online.service.d/sitewright.conf <<'EOF'
[Service]
ExecStart=
ExecStart=/bin/sh -c 'until ip -o address show up scope global -tentative | grep -q .; do sleep 0.2; done'
TimeoutStartSec=120
EOF
# Units without an [Install] section can only be masked.
for unit in systemd-firstboot.service ldconfig.service systemd-hwdb-update.service man-db.timer \
  modprobe@drm.service sys-fs-fuse-connections.mount systemd-ask-password-wall.path systemd-ask-password-console.path; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# Host keys come from the seed, never from the image: two nodes with one key could not be told apart.
rm -f "$root"/etc/ssh/ssh_host_*
put /etc/ssh/sshd_config.d/sitewright.conf <<'EOF'
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
PermitRootLogin no
UseDNS no
EOF
# A reverse look-up or a login banner made of Python scripts delays every session.
rm -rf "$root/etc/update-motd.d"

rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
