import { bash } from '../bash';

/** What is true of the node after preparation, as one JSON document on stdout (see ../facts.ts). */
export const FACTS = bash`
# json VARIABLE TEXT: a JSON string. Neither jq nor Python is on every node.
json() {
  local text=\${2//\\/\\\\}
  text=\${text//\"/\\\"}
  printf -v "$1" '"%s"' "\${text//[$'\001'-$'\037']/ }"
}

# json_list VARIABLE TEXT...: a JSON list of strings.
json_list() {
  local variable=$1 entry entries=''
  shift
  for entry in "$@"; do
    json entry "$entry"
    entries+=\${entries:+, }$entry
  done
  printf -v "$variable" '[%s]' "$entries"
}

# number VARIABLE FILE: what the file holds, or null.
number() {
  printf -v "$1" null
  [ ! -r "$2" ] || read -r "\${1?}" <"$2" || true
}

clock_facts() {
  local text pattern
  local -a tracking
  CLOCK_OFFSET_MS=null CLOCK_SYNCHRONISED=false
  case $TIME_SERVICE in
    chrony)
      # Field 5 is the offset in seconds; the reference is 0 without a source.
      IFS=, read -r -a tracking < <(chronyc -c tracking 2>/dev/null)
      [ "\${#tracking[@]}" -gt 4 ] && [ "\${tracking[0]}" != 00000000 ] && [ "\${tracking[0]}" != 7F7F0101 ] || return 0
      CLOCK_SYNCHRONISED=true
      to_milliseconds "\${tracking[4]}" s
      ;;
    systemd-timesyncd)
      text=$(timedatectl timesync-status 2>/dev/null)
      pattern='Offset: ([-+]?[0-9.]+)(us|ms|s)'
      [[ $text =~ $pattern ]] || return 0
      CLOCK_SYNCHRONISED=true
      to_milliseconds "\${BASH_REMATCH[1]}" "\${BASH_REMATCH[2]}"
      ;;
  esac
}

# to_milliseconds NUMBER UNIT, to the microsecond; bash has whole numbers only.
to_milliseconds() {
  local sign='' number=\${1#+} whole fraction
  [[ $number != -* ]] || sign=-
  number=\${number#-}
  whole=\${number%%.*} fraction=000000000
  [[ $number != *.* ]] || fraction=\${number#*.}000000000
  case $2 in
    s) whole=$((10#$whole * 1000000 + 10#\${fraction:0:6})) ;;
    ms) whole=$((10#$whole * 1000 + 10#\${fraction:0:3})) ;;
    us) whole=$((10#$whole)) ;;
  esac
  printf -v CLOCK_OFFSET_MS '%s%d.%03d' "$sign" $((whole / 1000)) $((whole % 1000))
}

facts() {
  step 'facts'
  local key value list='' item total=0 field insert_failed=0 column=-1 i drops=0 device
  local kernel distribution nic mac driver file mtu
  json kernel "$KERNEL"
  json distribution "$DISTRIBUTION"
  json nic "$NIC"
  json mac "$NIC_MAC"
  json driver "$NIC_DRIVER"
  json file "\${NETWORK_FILE:-$MANAGER}"
  read -r mtu <"/sys/class/net/$NIC/mtu"
  printf '{\n  "schemaVersion": 1,\n  "kernel": %s,\n  "distribution": %s,\n  "cgroup": "v2",\n' "$kernel" "$distribution"

  local -a addresses=()
  while read -r _ item; do
    [[ "$item" =~ ^([^\ ]+)\ +inet6?\ ([^\ ]+) && \${BASH_REMATCH[1]} = "$NIC" ]] && addresses+=("\${BASH_REMATCH[2]}")
  done <<<"$IP_ADDRESSES"
  json_list list "\${addresses[@]}"
  printf '  "interface": {"name": %s, "mac": %s, "driver": %s, "mtuBytes": %s, "addresses": %s, "configuredBy": %s},\n' \
    "$nic" "$mac" "$driver" "$mtu" "$list" "$file"

  json_list list "\${MODULES[@]}"
  printf '  "modules": %s,\n' "$list"
  list=''
  for i in "\${!SYSCTL_KEYS[@]}"; do
    json key "\${SYSCTL_KEYS[i]}"
    json value "\${SYSCTL_VALUES[i]}"
    list+=\${list:+, }"$key: $value"
  done
  printf '  "sysctls": {%s},\n' "$list"
  list=''
  for item in "\${OFFLOADS_FOUND[@]}"; do
    read -r device key value <<<"$item"
    json device "$device"
    json key "$key"
    json value "$value"
    list+=\${list:+, }"{\"device\": $device, \"name\": $key, \"value\": $value}"
  done
  printf '  "offloads": [%s],\n' "$list"

  local memory=null swap=null
  while read -r key value _; do
    case $key in
      MemTotal:) memory=$((value * 1024)) ;;
      SwapTotal:) swap=$((value * 1024)) ;;
    esac
  done </proc/meminfo
  printf '  "memoryBytes": %s,\n  "swapBytes": %s,\n' "$memory" "$swap"

  clock_facts
  json value "$TIME_SERVICE"
  printf '  "clock": {"service": %s, "synchronised": %s, "offsetMilliseconds": %s},\n' "$value" "$CLOCK_SYNCHRONISED" "$CLOCK_OFFSET_MS"

  # Fields of the first line: "cpu", user nice system idle iowait irq softirq steal; since the machine started.
  local -a cpu=() cpus=(/sys/devices/system/cpu/cpu[0-9]*)
  read -r -a cpu </proc/stat
  for field in "\${cpu[@]:1:8}"; do total=$((total + field)); done
  i=$((cpu[8] * 10000 / total))
  printf '  "cpu": {"count": %s, "stealPercent": %d.%02d},\n' "\${#cpus[@]}" $((i / 100)) $((i % 100))

  list=''
  for device in /sys/block/*/device; do
    device=\${device%/device}
    number value "$device/size"
    number item "$device/queue/rotational"
    [ "$value" != 0 ] || continue
    json key "\${device##*/}"
    list+=\${list:+, }"{\"name\": $key, \"sizeBytes\": $((value * 512)), \"rotational\": $([ "$item" = 1 ] && echo true || echo false)}"
  done
  printf '  "disks": [%s],\n' "$list"

  local count max
  number count /proc/sys/net/netfilter/nf_conntrack_count
  number max /proc/sys/net/netfilter/nf_conntrack_max
  # A line of names, then one line for each CPU, in hexadecimal.
  if [ -r /proc/net/stat/nf_conntrack ]; then
    while read -r -a cpu; do
      if [ "$column" -lt 0 ]; then
        for i in "\${!cpu[@]}"; do [ "\${cpu[i]}" != insert_failed ] || column=$i; done
        [ "$column" -ge 0 ] || break
      else
        insert_failed=$((insert_failed + 16#\${cpu[column]}))
      fi
    done </proc/net/stat/nf_conntrack
  fi
  printf '  "conntrack": {"count": %s, "max": %s, "insertFailed": %s},\n' "$count" "$max" "$insert_failed"

  while read -r -a cpu; do drops=$((drops + 16#\${cpu[1]})); done </proc/net/softnet_stat
  printf '  "softnetDrops": %s\n}\n' "$drops"
}
`;
