import type { Bundle } from '../../bundle/lock';
import { bash } from '../bash';

/** How a script finds the bundle: a disk with its ISO image, or a folder. */
export const bundlePlaceValues = (
  { id }: Bundle,
  place: { device: string } | { directory: string },
): [name: string, value: string][] => [
  ['BUNDLE_ID', id],
  ['BUNDLE_DEVICE', 'device' in place ? place.device : ''],
  ['BUNDLE_FOLDER', 'directory' in place ? place.directory : ''],
  ['BUNDLE_MOUNT', '/run/sitewright/bundle'],
];

/** The bundle on a node: found when something is needed from it, checked before anything is taken, closed at the end. */
export const OPEN_BUNDLE = bash`
BUNDLE=''

# A disk that the hypervisor attached, or the copy of a machine that is not the kit's. A disk that was exchanged while the
# machine runs shows its new content a moment later.
open_bundle() {
  [ -z "$BUNDLE" ] || return 0
  if [ -n "$BUNDLE_FOLDER" ]; then
    bundle_is_planned "$BUNDLE_FOLDER" ||
      refuse "$BUNDLE_FOLDER holds the bundle \${FOUND_ID:-of nobody}, and $BUNDLE_ID is planned: its copy did not end; run again"
    BUNDLE=$BUNDLE_FOLDER
    return
  fi
  trap close_bundle EXIT
  wait_until 60 'the disk with the bundle shows' mount_bundle ||
    refuse "the disk $BUNDLE_DEVICE holds the bundle \${FOUND_ID:-of nobody}, and $BUNDLE_ID is planned: stop the machine and start it again, so that it gets the disk that its definition names"
  BUNDLE=$BUNDLE_MOUNT
}

mount_bundle() {
  close_bundle
  mkdir -p "$BUNDLE_MOUNT"
  [ -b "$BUNDLE_DEVICE" ] && mount -t iso9660 -o ro,nosuid,nodev "$BUNDLE_DEVICE" "$BUNDLE_MOUNT" && bundle_is_planned "$BUNDLE_MOUNT"
}

# bundle_is_planned FOLDER
bundle_is_planned() {
  FOUND_ID=$(sha256sum "$1/bundle.lock.json" 2>/dev/null)
  FOUND_ID=\${FOUND_ID%% *}
  [ "$FOUND_ID" = "$BUNDLE_ID" ]
}

close_bundle() {
  ! mountpoint -q "$BUNDLE_MOUNT" || umount "$BUNDLE_MOUNT" >&2
}

# check_sum FILE SHA256 PATH_IN_BUNDLE
check_sum() {
  local sum
  sum=$(sha256sum "$1") || sum='no checksum, for it cannot be read'
  [ "\${sum%% *}" = "$2" ] ||
    refuse "$3 of the bundle has the sha256 \${sum%% *}, and its lock says $2: the bundle is damaged; check it with 'sitewright bundle verify'"
}
`;
