import { bash } from '../bash';

/** Packages that a machine lacks come from the bundle of the site, and from nowhere else. */
export const BUNDLE_PACKAGES = bash`
# find_package_index: PACKAGE_INDEX and its checksum, of the distribution of this machine.
find_package_index() {
  local entry
  for entry in "\${PACKAGE_INDEXES[@]}"; do
    read -r PACKAGE_INDEX_SUM PACKAGE_INDEX <<<"$entry"
    [ "$PACKAGE_INDEX" != "packages/\${DISTRIBUTION/ /-}/Packages" ] || return 0
  done
  return 1
}

check_package_source() {
  local entry offered=''
  ! find_package_index || return 0
  for entry in "\${PACKAGE_INDEXES[@]}"; do
    entry=\${entry#*packages/}
    offered+="\${offered:+, }\${entry%/Packages}"
  done
  refusals+=("missing packages: \${MISSING_PACKAGES[*]}; the bundle has those of $offered, and this machine is $DISTRIBUTION: add \${DISTRIBUTION/ /-} to artifacts.packages and build the bundle, or put these packages in the image of the machine")
}

# Packages ask this program whether they may start their services: what a node runs is started by its own steps. One that
# somebody else has put there stays.
SERVICE_POLICY=/usr/sbin/policy-rc.d
POLICY_MARK='# Made by sitewright for as long as it installs packages'
services_held() {
  local text
  slurp text "$SERVICE_POLICY"
  [[ $text = *"$POLICY_MARK"* ]]
}
hold_services() {
  [ ! -e "$SERVICE_POLICY" ] || return 0
  if ! { printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$SERVICE_POLICY" && chmod 0755 "$SERVICE_POLICY"; }; then
    refuse "$SERVICE_POLICY cannot be written: make room and check that its file system is writable, then run again"
  fi
}
release_services() { ! services_held || rm -f "$SERVICE_POLICY"; }
packages_done() {
  release_services
  close_bundle
}

install_packages() {
  # A run that was killed may have left it.
  release_services
  [ "\${#MISSING_PACKAGES[@]}" -gt 0 ] || return 0
  local folder=$RUN_DIR/packages
  find_package_index
  step "installing \${MISSING_PACKAGES[*]} from the bundle"
  open_bundle
  trap packages_done EXIT
  check_sum "$BUNDLE/$PACKAGE_INDEX" "$PACKAGE_INDEX_SUM" "$PACKAGE_INDEX"
  audit packages '' "\${MISSING_PACKAGES[*]}, from the bundle"
  rm -rf "$folder"
  mkdir -p "$folder/lists/partial" "$folder/archives/partial"
  # The lock names the index, and the index has the checksum of each package: apt-get installs nothing that differs.
  printf 'deb [trusted=yes] file:%s ./\n' "$BUNDLE/\${PACKAGE_INDEX%/*}" >"$folder/bundle.list"
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
  export DEBIAN_FRONTEND=noninteractive
  # The first is for a run that was killed, and does nothing otherwise.
  if ! { timeout 900 dpkg --configure -a --force-confdef --force-confold >&2 &&
    timeout 120 "\${apt[@]}" update >&2 &&
    timeout 1800 "\${apt[@]}" install -y --no-install-recommends --no-remove "\${MISSING_PACKAGES[@]}" >&2; }; then
    refuse "apt-get could not install from the bundle: \${MISSING_PACKAGES[*]}; its messages are above. Packages that this machine has newer are not made older, and none is removed: remove the lock of the bundle and build it again, which takes the newest packages, or put these in the image of the machine"
  fi
  packages_done
  trap - EXIT
  rm -rf "$folder"
  # It was kept from starting, and its configuration may be as planned already.
  [[ " \${MISSING_PACKAGES[*]} " != *' systemd-timesyncd '* ]] || pending systemd-timesyncd
  refuse_missing_packages
}
`;
