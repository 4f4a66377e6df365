import { bash } from '../bash';

/** What makes a machine unfit as a node, packages and the stamp of the site. */
export const PREFLIGHT = bash`
# Everything that makes this machine unfit, found before anything is changed, and told at once.
preflight() {
  local refusals=() container site='' id='' stamp
  step 'checking that this machine can be a node'

  local ID='' VERSION_ID='' PRETTY_NAME=''
  # shellcheck disable=SC1091
  . /etc/os-release
  DISTRIBUTION="$ID $VERSION_ID"
  case $DISTRIBUTION in
    'debian 12' | 'debian 13' | 'ubuntu 22.04' | 'ubuntu 24.04') ;;
    *) refusals+=("the distribution is \${PRETTY_NAME:-unknown}; the kit prepares Debian 12 and 13, Ubuntu 22.04 and 24.04: install one of them") ;;
  esac

  if container=$(systemd-detect-virt --container 2>/dev/null) && [ "$container" != none ]; then
    refusals+=("this machine is a container ($container), which shares its kernel: modules and sysctls cannot be set; use a virtual or a physical machine")
  fi
  [ -e /sys/fs/cgroup/cgroup.controllers ] ||
    refusals+=('cgroup v2 is not mounted at /sys/fs/cgroup, and kubelet refuses v1: remove systemd.unified_cgroup_hierarchy=0 from the kernel command line and restart')

  if [ -e "$STAMP_FILE" ]; then
    slurp stamp "$STAMP_FILE"
    [[ $stamp =~ \"site\":\ *\"([^\"]*)\" ]] && site=\${BASH_REMATCH[1]}
    [[ $stamp =~ \"id\":\ *\"([^\"]*)\" ]] && id=\${BASH_REMATCH[1]}
    if [ "$site" != "$SITE" ] || [ "$id" != "$STAMP_ID" ]; then
      refusals+=("$STAMP_FILE says that this machine belongs to site '$site' (state $id), and this is site '$SITE' (state $STAMP_ID): take it out of that site with 'sitewright destroy $site'; if that state no longer exists, remove $STAMP_FILE on this machine")
    fi
  fi

  # Of a member of a cluster. The clock of a machine that is new is set by its time servers below, and proved.
  local authority PROBLEM=''
  slurp authority /etc/kubernetes/pki/ca.crt
  if [ -n "$authority" ]; then
    # One that has expired here may be renewed in the secrets of the site, which reach the machine later.
    clock_problem "$authority" early
    [ -n "$PROBLEM" ] || expired_problem
    [ -z "$PROBLEM" ] || refusals+=("$PROBLEM")
  fi

  check_versions
  find_missing_packages
  if [ "\${#MISSING_PACKAGES[@]}" -gt 0 ]; then
    if command -v apt-get >/dev/null; then
      check_package_source
    else
      refusals+=("missing packages, and no apt-get to install them: \${MISSING_PACKAGES[*]}")
    fi
  fi

  if command -v ip >/dev/null; then
    ip_snapshot
    find_interface || refusals+=("$NIC_PROBLEM")
  else
    refusals+=('the command ip is missing: install the package iproute2')
  fi
  check_ingress_ports
  check_swap

  [ "\${#refusals[@]}" -eq 0 ] || refuse "\${refusals[@]}"
}

check_versions() {
  local entry what least by found
  for entry in "\${NEEDED_VERSIONS[@]}"; do
    read -r what least by <<<"$entry"
    found=$KERNEL
    if [ "$what" = nft ]; then
      # One that is to be installed is of a distribution whose nft is new enough.
      command -v nft >/dev/null || continue
      [[ $(nft --version) =~ v([0-9.]+) ]] && found=\${BASH_REMATCH[1]} || found=0
    fi
    printf '%s\n' "$least" "$found" | sort -V -C ||
      refusals+=("$what is $found, and $by needs $least or newer: install a newer $what, or change that key of the site file")
  done
}

# cloud-init of a machine that has just started still writes files and restarts services.
wait_for_cloud_init() {
  local until=$((SECONDS + 600)) told=no
  while [ -L /run/cloud-init/status.json ] && [ ! -e /run/cloud-init/result.json ]; do
    [ "$told" = yes ] || step 'waiting for cloud-init to end'
    told=yes
    [ "$SECONDS" -lt "$until" ] || refuse 'cloud-init has not ended after 10 minutes: see cloud-init status --long on this machine'
    sleep 1
  done
}

find_missing_packages() {
  local entry command package
  MISSING_PACKAGES=()
  for entry in "\${PACKAGES[@]}"; do
    read -r command package <<<"$entry"
    command -v "$command" >/dev/null || MISSING_PACKAGES+=("$package")
  done
  find_time_service
  [ "\${#NTP_SERVERS[@]}" -eq 0 ] || [ "$TIME_SERVICE" != none ] || MISSING_PACKAGES+=(systemd-timesyncd)
}

# What is missing after an installation is damaged.
refuse_missing_packages() {
  hash -r
  find_missing_packages
  [ "\${#MISSING_PACKAGES[@]}" -eq 0 ] ||
    refuse "the commands of these packages are missing although apt-get says that they are installed: \${MISSING_PACKAGES[*]}; repair them with apt-get install --reinstall"
}

write_stamp() { write_file "$STAMP_FILE" 0644 "{\"site\": \"$SITE\", \"id\": \"$STAMP_ID\"}"$'\n'; }
`;
