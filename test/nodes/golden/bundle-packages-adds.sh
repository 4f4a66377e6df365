

BUNDLE_ID='b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1'
BUNDLE_DEVICE='/dev/disk/by-id/virtio-bundle'
BUNDLE_FOLDER=''
BUNDLE_MOUNT='/run/sitewright/bundle'
PACKAGE_INDEXES=('a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 packages/debian-12/Packages')

# wait_until SECONDS WHAT COMMAND...: true as soon as the command is; false after the limit.
wait_until() {
  local limit=$1 what=$2 begin=$SECONDS told=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1 </dev/null; do
    [ $((SECONDS - begin)) -lt "$limit" ] || return 1
    if [ "$SECONDS" -ge "$told" ]; then
      step "waiting until $what ($((SECONDS - begin)) s of $limit s)"
      told=$((SECONDS + 15))
    sleep 2

BUNDLE=''

# A disk that the hypervisor attached, or the copy of a machine that is not the kit's. A disk that was exchanged while the
# machine runs shows its new content a moment later.
open_bundle() {
  [ -z "$BUNDLE" ] || return 0
  if [ -n "$BUNDLE_FOLDER" ]; then
    bundle_is_planned "$BUNDLE_FOLDER" ||
      refuse "$BUNDLE_FOLDER holds the bundle ${FOUND_ID:-of nobody}, and $BUNDLE_ID is planned: its copy did not end; run again"
    BUNDLE=$BUNDLE_FOLDER
  trap close_bundle EXIT
  wait_until 60 'the disk with the bundle shows' mount_bundle ||
    refuse "the disk $BUNDLE_DEVICE holds the bundle ${FOUND_ID:-of nobody}, and $BUNDLE_ID is planned: stop the machine and start it again, so that it gets the disk that its definition names"
  BUNDLE=$BUNDLE_MOUNT

mount_bundle() {
  close_bundle
  mkdir -p "$BUNDLE_MOUNT"
  [ -b "$BUNDLE_DEVICE" ] && mount -t iso9660 -o ro,nosuid,nodev "$BUNDLE_DEVICE" "$BUNDLE_MOUNT" && bundle_is_planned "$BUNDLE_MOUNT"

# bundle_is_planned FOLDER
bundle_is_planned() {
  FOUND_ID=$(sha256sum "$1/bundle.lock.json" 2>/dev/null)
  FOUND_ID=${FOUND_ID%% *}
  [ "$FOUND_ID" = "$BUNDLE_ID" ]

close_bundle() {
  ! mountpoint -q "$BUNDLE_MOUNT" || umount "$BUNDLE_MOUNT" >&2

# check_sum FILE SHA256 PATH_IN_BUNDLE
check_sum() {
  local sum
  sum=$(sha256sum "$1") || sum='no checksum, for it cannot be read'
  [ "${sum%% *}" = "$2" ] ||
    refuse "$3 of the bundle has the sha256 ${sum%% *}, and its lock says $2: the bundle is damaged; check it with 'sitewright bundle verify'"

# find_package_index: PACKAGE_INDEX and its checksum, of the distribution of this machine.
find_package_index() {
  for entry in "${PACKAGE_INDEXES[@]}"; do
    read -r PACKAGE_INDEX_SUM PACKAGE_INDEX <<<"$entry"
    [ "$PACKAGE_INDEX" != "packages/${DISTRIBUTION/ /-}/Packages" ] || return 0

check_package_source() {
  local entry offered=''
  ! find_package_index || return 0
  for entry in "${PACKAGE_INDEXES[@]}"; do
    entry=${entry#*packages/}
    offered+="${offered:+, }${entry%/Packages}"
  refusals+=("missing packages: ${MISSING_PACKAGES[*]}; the bundle has those of $offered, and this machine is $DISTRIBUTION: add ${DISTRIBUTION/ /-} to artifacts.packages and build the bundle, or put these packages in the image of the machine")

# Packages ask this program whether they may start their services: what a node runs is started by its own steps. One that
# somebody else has put there stays.
SERVICE_POLICY=/usr/sbin/policy-rc.d
POLICY_MARK='# Made by sitewright for as long as it installs packages'
services_held() {
  slurp text "$SERVICE_POLICY"
  [[ $text = *"$POLICY_MARK"* ]]
hold_services() {
  [ ! -e "$SERVICE_POLICY" ] || return 0
  if ! { printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$SERVICE_POLICY" && chmod 0755 "$SERVICE_POLICY"; }; then
    refuse "$SERVICE_POLICY cannot be written: make room and check that its file system is writable, then run again"
release_services() { ! services_held || rm -f "$SERVICE_POLICY"; }
packages_done() {
  release_services
  close_bundle

  # A run that was killed may have left it.
  release_services
  local folder=$RUN_DIR/packages
  find_package_index
  step "installing ${MISSING_PACKAGES[*]} from the bundle"
  open_bundle
  trap packages_done EXIT
  check_sum "$BUNDLE/$PACKAGE_INDEX" "$PACKAGE_INDEX_SUM" "$PACKAGE_INDEX"
  audit packages '' "${MISSING_PACKAGES[*]}, from the bundle"
  rm -rf "$folder"
  mkdir -p "$folder/lists/partial" "$folder/archives/partial"
  # The lock names the index, and the index has the checksum of each package: apt-get installs nothing that differs.
  printf 'deb [trusted=yes] file:%s ./\n' "$BUNDLE/${PACKAGE_INDEX%/*}" >"$folder/bundle.list"
  local apt=(
    apt-get -q -o DPkg::Lock::Timeout=300
    -o "Dir::Etc::sourcelist=$folder/bundle.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o APT::Default-Release=
    -o "Dir::State::lists=$folder/lists" -o "Dir::Cache::archives=$folder/archives"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o APT::Sandbox::User=root -o Acquire::Languages=none -o APT::Update::Error-Mode=any
    -o DPkg::Options::=--force-confdef -o DPkg::Options::=--force-confold
  )
  hold_services
  # The first is for a run that was killed, and does nothing otherwise.
  if ! { timeout 900 dpkg --configure -a --force-confdef --force-confold >&2 &&
    timeout 120 "${apt[@]}" update >&2 &&
    timeout 1800 "${apt[@]}" install -y --no-install-recommends --no-remove "${MISSING_PACKAGES[@]}" >&2; }; then
    refuse "apt-get could not install from the bundle: ${MISSING_PACKAGES[*]}; its messages are above. Packages that this machine has newer are not made older, and none is removed: remove the lock of the bundle and build it again, which takes the newest packages, or put these in the image of the machine"
  packages_done
  trap - EXIT
  rm -rf "$folder"
  # It was kept from starting, and its configuration may be as planned already.
  [[ " ${MISSING_PACKAGES[*]} " != *' systemd-timesyncd '* ]] || pending systemd-timesyncd

