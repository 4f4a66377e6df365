import { bash } from '../../nodes/bash';
import { OPEN_BUNDLE } from '../../nodes/prep/openBundle';

/** What a node takes from its bundle: programs and images. */
export const BUNDLE = [
  OPEN_BUNDLE,
  bash`
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
`,
].join('\n');
