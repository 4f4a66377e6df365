import { bash } from '../../nodes/bash';

/** The bundle on a node: found when something is needed from it, checked before anything is taken, closed at the end. */
export const BUNDLE = bash`
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

# Checked after the copy: what lies at the target is what the lock names, and a program is replaced as a whole.
programs_apply() {
  step 'programs of the bundle'
  local entry sum source target installed path folder
  local -A have=()
  local -a targets=()
  for entry in "\${PROGRAMS[@]}"; do
    read -r _ _ target <<<"$entry"
    [ ! -f "$target" ] || targets+=("$target")
  done
  if [ "\${#targets[@]}" -gt 0 ]; then
    while read -r installed path; do have["$path"]=$installed; done < <(sha256sum "\${targets[@]}")
  fi
  for entry in "\${PROGRAMS[@]}"; do
    read -r sum source target <<<"$entry"
    [ "\${have["$target"]-}" != "$sum" ] || continue
    open_bundle
    audit "$target" "\${have["$target"]-}" "$sum"
    case $target in
      */containerd) pending containerd ;;
      */kubelet) pending kubelet ;;
    esac
    folder=\${target%/*}
    [ -d "$folder" ] || mkdir -p "$folder"
    cp "$BUNDLE/$source" "$target.sitewright-new" >&2 ||
      refuse "$source of the bundle cannot be copied to $folder: make room, or check the bundle with 'sitewright bundle verify'"
    check_sum "$target.sitewright-new" "$sum" "$source"
    chmod 0755 "$target.sitewright-new"
    mv -f "$target.sitewright-new" "$target"
  done
}

# image_digests: DIGESTS[reference] of every image that containerd has.
image_digests() {
  local reference digest
  DIGESTS=()
  while read -r reference _ digest _; do
    [[ $digest != sha256:* ]] || DIGESTS["$reference"]=$digest
  done < <(ctr -n k8s.io images ls 2>/dev/null)
}

# The stamp of a file says which image it became: an image that was removed, or made anew under the same name, comes again.
images_apply() {
  step 'container images of the bundle'
  local entry sum source reference stamp text
  local -A DIGESTS=()
  image_digests
  for entry in "\${IMAGES[@]}"; do
    read -r sum source reference <<<"$entry"
    stamp=/var/lib/sitewright/images/$sum
    slurp text "$stamp"
    [ -z "$text" ] || [ "$text" != "$reference \${DIGESTS["$reference"]-none}" ] || continue
    open_bundle
    step "importing $reference"
    check_sum "$BUNDLE/$source" "$sum" "$source"
    audit "image $reference" "\${DIGESTS["$reference"]-}" "$source $sum"
    ctr -n k8s.io images import "$BUNDLE/$source" >&2 || refuse "containerd could not import $source; its message is above"
    image_digests
    [ -n "\${DIGESTS["$reference"]-}" ] ||
      refuse "$source of the bundle holds no image $reference: build the bundle again for this site"
    # kubelet removes unused images from a full disk, and there is no registry to get them back from. containerd 1.6 does
    # not tell it of the label: there the plan keeps kubelet from it.
    ctr -n k8s.io images label "$reference" io.cri-containerd.pinned=pinned >/dev/null
    [ -d "\${stamp%/*}" ] || mkdir -p "\${stamp%/*}"
    printf '%s' "$reference \${DIGESTS["$reference"]}" >"$stamp.new" && mv -f "$stamp.new" "$stamp"
  done
}

# What earlier bundles brought may go when the disk fills: kubelet removes what nothing uses and nobody has pinned.
images_release() {
  local stamp text
  for stamp in /var/lib/sitewright/images/*; do
    [[ -f $stamp && " \${IMAGES[*]}" != *" \${stamp##*/} "* ]] || continue
    slurp text "$stamp"
    if [[ " \${IMAGES[*]} " != *" \${text%% *} "* ]]; then
      audit "image \${text%% *}" pinned 'may be removed'
      ctr -n k8s.io images label "\${text%% *}" io.cri-containerd.pinned= >/dev/null 2>&1
    fi
    rm -f "$stamp"
  done
}
`;
