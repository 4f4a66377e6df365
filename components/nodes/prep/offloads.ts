import { bash } from '../bash';

/** Offloads and rings: set now, and by udev when a device appears. */
export const OFFLOADS = bash`
offload_set() {
  offload_differs "$@" || return 0
  audit "$1 $3" "$5" "$4"
  ethtool "$2" "$1" "$3" "$4" >&2 || true
}

offload_verify() {
  OFFLOADS_FOUND+=("$1 $3 \${5:-absent}")
  offload_differs "$@" || return 0
  problem "$1 $3" "$4" "\${5:-nothing}" "ethtool $2 $1 $3 $4 has no effect with driver $NIC_DRIVER on kernel $KERNEL: its message is above"
}

# each_offload FUNCTION: the node's NIC, and every device that the rules name and that is there now.
each_offload() {
  local device role seen=' '
  while read -r role _; do
    [[ $seen != *" $role "* ]] || continue
    seen+="$role "
    device=$role
    [ "$role" != nic ] || device=$NIC
    [ ! -e "/sys/class/net/$device" ] || offload_values "$OFFLOAD_RULES" "$device" "$role" "$1"
  done <<<"$OFFLOAD_RULES"
}

# udev runs the helper when a device comes, at boot or when Calico makes it; so does a rename.
offloads_apply() {
  step 'offloads'
  local rules='' role seen=' ' match
  while read -r role _; do
    [[ $seen != *" $role "* ]] || continue
    seen+="$role "
    match="ENV{INTERFACE}==\"$role\""
    [ "$role" != nic ] || match="ATTR{address}==\"$NIC_MAC\", DRIVERS==\"?*\""
    rules+="ACTION==\"add|move\", SUBSYSTEM==\"net\", $match, RUN+=\"$OFFLOAD_HELPER \$name $role\""$'\n'
  done <<<"$OFFLOAD_RULES"
  write_file "$OFFLOAD_HELPER" 0755 "$OFFLOAD_HELPER_TEXT"
  write_file "$UDEV_RULES_FILE" 0644 "$rules" udev
  settle udev udevadm control --reload
  each_offload offload_set
}

offloads_check() {
  OFFLOADS_FOUND=()
  each_offload offload_verify
}
`;
