import { bash } from '../bash';

/**
 * The interface that carries the node's addresses: MTU, addresses, routes, DNS. systemd-networkd is written (netplan
 * writes for it, and its files sort later); ifupdown and NetworkManager are read only.
 */
export const NETWORK = bash`
# What the kernel has now, in two or three processes.
ip_snapshot() {
  IP_ADDRESSES=$(ip -o addr show)
  IP_ROUTES=$(ip -o -4 route show)$'\n'
  [[ "\${ADDRESSES[*]}" != *:* ]] || IP_ROUTES+=$(ip -o -6 route show)$'\n'
}

# has_address ADDRESS/PREFIX [INTERFACE]
has_address() {
  local line
  while read -r _ line; do
    [[ "$line" =~ ^([^\ ]+)\ +inet6?\ ([^\ ]+) && \${BASH_REMATCH[2]} = "$1" && \${BASH_REMATCH[1]} = "\${2:-\${BASH_REMATCH[1]}}" ]] || continue
    ADDRESS_INTERFACE=\${BASH_REMATCH[1]}
    return 0
  done <<<"$IP_ADDRESSES"
  return 1
}

has_route() { [[ $'\n'"$IP_ROUTES" == *$'\n'"$1 via $2 dev $NIC"[[:space:]]* ]]; }

find_interface() {
  local device mac
  NIC=''
  if [ -n "$IF_NAME" ]; then
    [ ! -e "/sys/class/net/$IF_NAME" ] || NIC=$IF_NAME
    NIC_PROBLEM="there is no network interface $IF_NAME: correct the name of the interface in the site file"
  elif [ -n "$IF_MAC" ]; then
    for device in /sys/class/net/*/device; do
      device=\${device%/device}
      [ -e "$device/address" ] || continue
      read -r mac <"$device/address"
      [ "$mac" != "$IF_MAC" ] || NIC=\${device##*/}
    done
    NIC_PROBLEM="no network interface has the MAC address $IF_MAC: attach it, or correct the MAC address in the site file"
  else
    ! has_address "\${ADDRESSES[0]}" || NIC=$ADDRESS_INTERFACE
    NIC_PROBLEM="no network interface has the address \${ADDRESSES[0]}: give it to one, or correct the addresses in the site file"
  fi
  [ -n "$NIC" ] || return 1
  read -r NIC_MAC <"/sys/class/net/$NIC/address"
  driver_of NIC_DRIVER "$NIC"
  find_manager
}

# Who configures the interface. systemd-networkd keeps its view in a file; netplan writes files for networkd.
find_network_file() {
  local index state
  read -r index <"/sys/class/net/$NIC/ifindex"
  slurp state "/run/systemd/netif/links/$index"
  NETWORK_FILE=''
  [[ ! $state =~ (^|$'\n')NETWORK_FILE=([^$'\n']+) ]] || NETWORK_FILE=\${BASH_REMATCH[2]}
}

find_manager() {
  find_network_file
  if [ -n "$NETWORK_FILE" ]; then
    MANAGER=systemd-networkd
  elif [ -e /run/NetworkManager ]; then
    MANAGER=NetworkManager
  elif [ -e /run/network/ifstate ]; then
    MANAGER=ifupdown
  else
    MANAGER='no known service'
  fi
}

# The address that this very session came to stays until a session comes to another one.
session_address() {
  local line
  SESSION_ADDRESS=''
  [ -n "$SESSION_HOST" ] || return 0
  while read -r _ line; do
    [[ "$line" =~ ^([^\ ]+)\ +inet6?\ ([^\ ]+) && \${BASH_REMATCH[1]} = "$NIC" && \${BASH_REMATCH[2]%/*} = "$SESSION_HOST" ]] || continue
    [[ " \${ADDRESSES[*]} " == *" \${BASH_REMATCH[2]} "* ]] || SESSION_ADDRESS=\${BASH_REMATCH[2]}
  done <<<"$IP_ADDRESSES"
}

# each_network_value FUNCTION: key, wanted, found for everything that is planned for the interface.
each_network_value() {
  local address gateway route server mtu resolv destination
  [ "$MANAGER:$MADE_BY_KIT" != systemd-networkd:yes ] || "$1" "$NIC configuration" "$OWN_NETWORK_FILE" "$NETWORK_FILE"
  read -r mtu <"/sys/class/net/$NIC/mtu"
  "$1" "$NIC mtu" "$IF_MTU_BYTES" "$mtu"
  for address in "\${ADDRESSES[@]}"; do
    if has_address "$address" "$NIC"; then "$1" "$NIC address" "$address" "$address"; else "$1" "$NIC address" "$address" ''; fi
  done
  for gateway in "\${GATEWAYS[@]}"; do
    if has_route default "$gateway"; then "$1" "$NIC gateway" "$gateway" "$gateway"; else "$1" "$NIC gateway" "$gateway" ''; fi
  done
  for route in "\${ROUTES[@]}"; do
    destination=\${route% *} gateway=\${route#* }
    if has_route "$destination" "$gateway"; then "$1" "$NIC route" "$route" "$route"; else "$1" "$NIC route" "$route" ''; fi
  done
  resolv=/run/systemd/resolve/resolv.conf
  [ -e "$resolv" ] || resolv=/etc/resolv.conf
  slurp resolv "$resolv"
  for server in "\${DNS_SERVERS[@]}"; do
    if [[ $'\n'"$resolv" == *$'\n'"nameserver $server"[[:space:]]* ]]; then "$1" 'DNS server' "$server" "$server"; else "$1" 'DNS server' "$server" ''; fi
  done
}

count_difference() { [ "$2" = "$3" ] || DIFFERENCES=$((DIFFERENCES + 1)); }
audit_difference() { [ "$2" = "$3" ] || audit "$1" "$3" "$2"; }
differs() {
  DIFFERENCES=0
  each_network_value count_difference
  [ "$DIFFERENCES" -gt 0 ]
}

# configured VARIABLE FILE: addresses (a/p) and routes (destination gateway) of a .network file, one on a line.
configured() {
  local line key section='' destination='' gateway='' list=$'\n'
  [ ! -r "$2" ] || while IFS= read -r line; do
    key=\${line%%=*}
    case $key in
      '['*) section=$line destination='' gateway='' ;;
      Address) list+=\${line#*=}$'\n' ;;
      Destination) destination=\${line#*=} ;;
      Gateway) gateway=\${line#*=} ;;
    esac
    [ "$section" = '[Route]' ] || destination=default
    [ -z "$destination" ] || [ -z "$gateway" ] || { list+="$destination $gateway"$'\n' && gateway=''; }
  done <"$2"
  printf -v "$1" '%s' "$list"
}

# remove_what_left OLD NEW: lists made by configured. Before the new file is written, so that an interrupted run does it again.
remove_what_left() {
  local entry
  while IFS= read -r entry; do
    [[ -n $entry && $2 != *$'\n'"$entry"$'\n'* && $entry != '0.0.0.0/0 '* && $entry != '::/0 '* ]] || continue
    audit "$NIC" "$entry" ''
    if [[ $entry == *' '* ]]; then
      ip route del "\${entry% *}" via "\${entry#* }" dev "$NIC" 2>/dev/null || true
    else
      ip addr del "$entry" dev "$NIC" 2>/dev/null || true
    fi
  done <<<"$1"
}

network_apply() {
  step "network of $NIC"
  session_address
  if [ "\${#DNS_SERVERS[@]}" -gt 0 ] && [ "$MANAGER" != NetworkManager ] && [ ! -e /run/systemd/resolve/resolv.conf ] && [ ! -L /etc/resolv.conf ]; then
    write_file /etc/resolv.conf 0644 "$RESOLV_CONF"
  fi
  [ "$MANAGER" = systemd-networkd ] || return 0
  # Without this networkd takes away, when it restarts, the routes to pods that Calico put on the interface.
  write_file /etc/systemd/networkd.conf.d/90-sitewright.conf 0644 "$NETWORKD_CONF" networkd-restart
  local content file=$OWN_NETWORK_FILE
  if [ "$MADE_BY_KIT" = yes ]; then
    # A whole file of our own, before those of cloud-init and netplan: what leaves the plan leaves the machine.
    content="# Made by sitewright for site $SITE; edits are undone. It comes before what cloud-init and netplan made."$'\n'
    content+=$'[Match]\n'"MACAddress=$NIC_MAC"$'\nType=ether\n\n'"$NETWORK_LINK"$'\n[Network]\nIPv6AcceptRA=no\n'"$NETWORK_BODY"
    [ ! -d /etc/cloud ] || write_file /etc/cloud/cloud.cfg.d/99-sitewright-network.cfg 0644 "$CLOUD_CFG"
  else
    # The owner's configuration stays; a drop-in adds what is planned and never takes an address away.
    file=\${NETWORK_FILE##*/}
    file=/etc/systemd/network/$file.d/90-sitewright.conf
    content="# Made by sitewright for site $SITE; edits are undone."$'\n'"$NETWORK_LINK"$'\n[Network]\n'"$NETWORK_BODY"
  fi
  [ -z "$SESSION_ADDRESS" ] || content=\${content/'[Network]'/'[Network]'$'\n'Address=$SESSION_ADDRESS}
  local before after old
  slurp old "$file"
  if [ "$old" != "$content" ]; then
    configured before "$file"
    configured after /dev/stdin <<<"$content"
    remove_what_left "$before" "$after"
    write_file "$file" 0644 "$content" networkd-reload
    ip_snapshot
  fi

  each_network_value audit_difference
  if is_pending networkd-restart; then
    settle networkd-restart systemctl restart systemd-networkd.service
    settled networkd-reload
  elif is_pending networkd-reload; then
    settle networkd-reload networkctl reload
  else
    ! differs || networkctl reconfigure "$NIC" >&2 || true
  fi
  wait_for_network 60 || true
}

# networkd works on its own time: waits for the planned values, at most $1 seconds.
wait_for_network() {
  local until=$((SECONDS + $1))
  while differs; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.3
    ip_snapshot
    find_network_file
  done
}

network_problem() {
  [ "$2" != "$3" ] || return 0
  local why="the driver $NIC_DRIVER or the network refuses it; see: journalctl -u systemd-networkd"
  [ "$2" != "$OWN_NETWORK_FILE" ] || why='the file found comes first and takes the interface: remove it'
  [ "$MANAGER" = systemd-networkd ] ||
    why="$NIC is configured by $MANAGER, which the kit reads and does not write: set it there, or change to systemd-networkd"
  problem "$1" "$2" "\${3:-nothing}" "$why"
}

network_check() { each_network_value network_problem; }
`;
