import { bash } from '../../nodes/bash';

/** keepalived and haproxy on a node that shares the virtual address of the control plane; off on every other one. */
export const VIP = bash`
# The running API server lets haproxy have its port on another address.
port_is_shared() { grep -q -e '--permit-port-sharing=true' /etc/kubernetes/manifests/kube-apiserver.yaml 2>/dev/null; }

vip_apply() {
  [ -n "$VIP_ADDRESS" ] || { vip_remove; return; }
  step "virtual address $VIP_ADDRESS"
  [ -e "/etc/systemd/system/$KEEPALIVED_UNIT.service" ] || refuse_used_vip
  local interface
  read -r _ interface _ < <(ip -o address show to "$VIP_NODE_ADDRESS")
  [ -n "$interface" ] || refuse "no interface of this node has $VIP_NODE_ADDRESS"
  write_file "$VIP_FOLDER/health" 0755 "$VIP_HEALTH"
  write_file "$VIP_FOLDER/haproxy.cfg" 0644 "$HAPROXY_CONFIG" "$HAPROXY_UNIT"
  write_secret "$VIP_FOLDER/keepalived.conf" "\${KEEPALIVED_CONFIG//"$INTERFACE_PLACE"/"\${interface%%@*}"}" "$KEEPALIVED_UNIT"
  haproxy -c -q -f "$VIP_FOLDER/haproxy.cfg" >&2 || refuse "haproxy does not take $VIP_FOLDER/haproxy.cfg; its message is above"
  write_file "/etc/systemd/system/$HAPROXY_UNIT.service" 0644 "$HAPROXY_SERVICE" "$HAPROXY_UNIT"
  write_file "/etc/systemd/system/$KEEPALIVED_UNIT.service" 0644 "$KEEPALIVED_SERVICE" "$KEEPALIVED_UNIT"
  vip_service "$HAPROXY_UNIT"
  vip_service "$KEEPALIVED_UNIT"
  wait_until "$LIMIT_SECONDS" "$VIP_ADDRESS is held" vip_is_held ||
    refuse "nobody holds $VIP_ADDRESS: see journalctl -u $KEEPALIVED_UNIT -u $HAPROXY_UNIT on this machine"
}

# A reload lets connections go on, and the address stays where it is.
vip_service() {
  if is_pending "$1"; then
    systemctl daemon-reload >&2
    settle "$1" systemctl reload-or-restart "$1.service"
  fi
  enable_unit "$1"
  systemctl --quiet is-active "$1.service" || settle_now "$1" systemctl start "$1.service"
}

# haproxy of the holder takes the connection, also before there is an API server.
vip_is_held() { timeout 10 bash -c "exec 7<>/dev/tcp/$VIP_ADDRESS/$API_PORT"; }

# Before this node announces the address for the first time. A peer that holds it already has a certificate of this cluster
# for it; its API server may just have begun anew.
refuse_used_vip() {
  ping -c 2 -W 2 -q "$VIP_ADDRESS" >/dev/null 2>&1 || return 0
  wait_until "$((LIMIT_SECONDS / 15))" "a peer answers at $VIP_ADDRESS" vip_is_of_peer ||
    refuse "$VIP_ADDRESS, the virtual address of the control plane, is somebody else's: another machine answers there; set kubernetes.vip to an unused address"
}

vip_is_of_peer() { is_of_cluster 60 /etc/kubernetes/pki/ca.crt "$VIP_URL_HOST:$API_PORT" -verify_ip "$VIP_ADDRESS"; }

vip_remove() {
  local unit
  for unit in "$KEEPALIVED_UNIT" "$HAPROXY_UNIT"; do
    [ -e "/etc/systemd/system/$unit.service" ] || continue
    audit "unit $unit" enabled removed
    systemctl disable --now "$unit.service" >&2 || refuse "$unit.service cannot be stopped; the message of systemctl is above"
    rm -f "/etc/systemd/system/$unit.service"
  done
  rm -rf "$VIP_FOLDER"
}
`;

/**
 * A node that is to leave, while the others still listen to it: told by its last advertisement, one of them takes the address
 * at once. Had they forgotten it first, it and one of them would both hold the address.
 */
export const STEP_DOWN = bash`
main() {
  lock "$LIMIT_SECONDS"
  step "$NODE leaves $VIP_ADDRESS to the other control-plane nodes"
  vip_remove
  wait_until "$LIMIT_SECONDS" "another node holds $VIP_ADDRESS" vip_is_held ||
    refuse "no other control-plane node holds $VIP_ADDRESS: see journalctl -u $KEEPALIVED_UNIT on those that stay"
  finish
}
`;
