import { bash } from '../bash';

/** Which offload rules fit a device and what the device has now. In the script, and in the helper that udev runs. */
export const OFFLOAD_RULES_LIBRARY = bash`
# driver_of VARIABLE DEVICE: as ethtool -i names it. Virtual devices have no driver folder, only a kind.
driver_of() {
  local line=''
  if [ -e "/sys/class/net/$2/device/uevent" ]; then
    while read -r line; do [[ $line != DRIVER=* ]] || break; done <"/sys/class/net/$2/device/uevent"
    printf -v "$1" '%s' "\${line#DRIVER=}"
  else
    line=$(ethtool -i "$2" 2>/dev/null)
    line=\${line#driver: }
    printf -v "$1" '%s' "\${line%%$'\n'*}"
  fi
}

# kernel_within MIN MAX (or -): a bound of two numbers covers every patch release of it.
kernel_within() {
  local kernel bound=$1 side=1 i
  local -a have want
  read -r kernel </proc/sys/kernel/osrelease
  IFS=. read -r -a have <<<"\${kernel%%[-+]*}"
  for bound in "$1" "$2"; do
    if [ "$bound" != - ]; then
      IFS=. read -r -a want <<<"$bound"
      for i in "\${!want[@]}"; do
        [ $((side * (\${have[i]:-0} - want[i]))) -ge 0 ] || return 1
        [ "\${have[i]:-0}" -eq "\${want[i]}" ] || break
      done
    fi
    side=-1
  done
}

# ethtool -k shows some features under another name than -K takes.
shown_name() {
  case $1 in
    rx) echo rx-checksumming ;;
    tx) echo tx-checksumming ;;
    sg) echo scatter-gather ;;
    tso) echo tcp-segmentation-offload ;;
    gso) echo generic-segmentation-offload ;;
    gro) echo generic-receive-offload ;;
    lro) echo large-receive-offload ;;
    rxvlan) echo rx-vlan-offload ;;
    txvlan) echo tx-vlan-offload ;;
    ntuple) echo ntuple-filters ;;
    rxhash) echo receive-hashing ;;
    *) echo "$1" ;;
  esac
}

# offload_values RULES DEVICE ROLE FUNCTION: for every rule (device driver kernel-min kernel-max option name value) that
# fits the device, FUNCTION DEVICE OPTION NAME WANTED FOUND. FOUND is empty where the device does not know the name.
offload_values() {
  local rule device driver min max option name value shown features='' rings='' found own_driver=''
  while IFS= read -r rule; do
    read -r device driver min max option name value <<<"$rule"
    [ "$device" = "$3" ] || continue
    kernel_within "$min" "$max" || continue
    [ -n "$own_driver" ] || driver_of own_driver "$2"
    [ "$driver" = - ] || [ "$driver" = "$own_driver" ] || continue
    found=''
    if [ "$option" = -K ]; then
      [ -n "$features" ] || features=$(ethtool -k "$2" 2>/dev/null)
      shown=$(shown_name "$name")
      [[ $features =~ [[:space:]]"$shown":\ ([a-z]+) ]] && found=\${BASH_REMATCH[1]}
    else
      [ -n "$rings" ] || rings=$(ethtool -g "$2" 2>/dev/null)
      [[ \${rings#*Current hardware settings} =~ $'\n'\${name^^}:[[:space:]]*([0-9]+) ]] && found=\${BASH_REMATCH[1]}
    fi
    "$4" "$2" "$option" "$name" "$value" "$found"
  done <<<"$1"
}

# offload_differs DEVICE OPTION NAME WANTED FOUND. "off" of what the device does not have is what is wanted. Drivers round
# a ring up (vmxnet3 to a multiple of 96 with an MTU of 9000), so up to an eighth more than wanted is what is wanted.
offload_differs() {
  [ "$4" != "$5" ] && [ "$4:$5" != off: ] || return 1
  [ "$2" != -G ] || [ -z "$5" ] || [ "$5" -lt "$4" ] || [ "$5" -gt $(($4 + $4 / 8)) ]
}
`;
