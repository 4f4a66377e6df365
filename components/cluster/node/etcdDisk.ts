import { bash } from '../../nodes/bash';

/** The file system of etcd on the disk that the machine has for it. */
export const ETCD_DISK = bash`
etcd_disk_apply() {
  [ -n "$ETCD_DISK" ] || return 0
  step 'disk of etcd'
  [ -b "$ETCD_DISK" ] || refuse "$ETCD_DISK is not there: attach the disk of etcd to this machine again"
  local found code type label intent=/var/lib/sitewright/formatting-etcd-disk

  found=$(blkid -p -o export "$ETCD_DISK")
  code=$?
  [[ $found =~ (^|$'\n')TYPE=([^$'\n']*) ]] && type=\${BASH_REMATCH[2]}
  [[ $found =~ (^|$'\n')LABEL=([^$'\n']*) ]] && label=\${BASH_REMATCH[2]}
  if [ "$code" -eq 0 ] && [ ! -e "$intent" ]; then
    [ "\${type-}:\${label-}" = "ext4:$ETCD_LABEL" ] ||
      refuse "$ETCD_DISK holds \${type:-something} labelled '\${label-}', which the kit did not make: save what is on it, then clear it with 'wipefs --all $ETCD_DISK'"
  elif [ "$code" -eq 0 ] || [ "$code" -eq 2 ]; then
    # No signature does not mean no data. What begins with zeros is blank, or was when an interrupted run began to format it.
    [ -e "$intent" ] || cmp -s -n 4194304 "$ETCD_DISK" /dev/zero ||
      refuse "$ETCD_DISK has no file system, and is not blank either: save what is on it, then clear it with 'blkdiscard --zeroout $ETCD_DISK'"
    [ ! -d "$ETCD_FOLDER/member" ] ||
      refuse "$ETCD_FOLDER on the root disk holds the data of an etcd, and the new disk would hide it: move the data to the disk by hand"
    audit "$ETCD_DISK" blank "ext4 $ETCD_LABEL"
    mkdir -p "\${intent%/*}" && : >"$intent" && sync "$intent"
    mkfs.ext4 -q -F -m 0 -L "$ETCD_LABEL" "$ETCD_DISK" >&2 || refuse "mkfs.ext4 $ETCD_DISK failed; its message is above"
    rm -f "$intent"
  else
    refuse "blkid cannot say what is on $ETCD_DISK (exit code $code): it may hold data, so it is left alone"
  fi

  # Without nofail a machine whose disk is missing would not come up far enough for anyone to log in. It comes up then
  # without kubelet, which needs the mount: with it, an empty etcd on the root disk would pass for the cluster.
  write_file /etc/systemd/system/kubelet.service.d/20-sitewright-etcd.conf 0644 "$ETCD_MOUNT_DROP_IN" daemon-reload
  local fstab line out=''
  slurp fstab /etc/fstab
  while IFS= read -r line; do
    [[ $line =~ ^[^#[:space:]]+[[:space:]]+\${ETCD_FOLDER}[[:space:]] ]] || out+=$line$'\n'
  done <<<"\${fstab%$'\n'}"
  out=\${out#$'\n'}"$ETCD_DISK $ETCD_FOLDER ext4 noatime,nofail,x-systemd.growfs 0 2"$'\n'
  write_file /etc/fstab 0644 "$out" daemon-reload
  settle daemon-reload systemctl daemon-reload
  if ! mountpoint -q "$ETCD_FOLDER"; then
    [ -z "$(ls -A "$ETCD_FOLDER" 2>/dev/null)" ] ||
      refuse "$ETCD_FOLDER is not empty and the disk of etcd is not mounted there: look what is in it, and move it away"
    systemctl start "$(systemd-escape --path --suffix=mount "$ETCD_FOLDER")" >&2
  fi
  # Empty, as fsck makes it anew where it needs it; kubeadm wants an empty folder.
  [ ! -d "$ETCD_FOLDER/lost+found" ] || rmdir "$ETCD_FOLDER/lost+found" 2>/dev/null
  chmod 0700 "$ETCD_FOLDER"
  [ "$ETCD_DISK" -ef "$(findmnt -n -o SOURCE --mountpoint "$ETCD_FOLDER")" ] ||
    refuse "$ETCD_FOLDER is not on $ETCD_DISK: see systemctl status $(systemd-escape --path --suffix=mount "$ETCD_FOLDER")"
}
`;
