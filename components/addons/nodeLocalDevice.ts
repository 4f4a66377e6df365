import { assignment, bash } from '../nodes/bash';
import { AS_ROOT, renderRemoval } from '../nodes/prep/asRoot';
import { CORE } from '../nodes/prep/core';
import { AUDIT_LOG } from '../nodes/script';

/**
 * The address of the node-local DNS cache on a node: a dummy device that has it, and rules that keep its packets out of
 * connection tracking. systemd makes both at every start of the machine, before kubelet.
 *
 * They belong to the node and not to the pod of the cache. While the pod is away the address must stay: then a query is
 * refused at once and the resolver of the asking pod goes on to the next server, where without the device it would leave
 * by the default route and be waited for. It also keeps the pod unprivileged, and needs no `ip` in any image.
 */
const DEVICE = 'nodelocaldns';
const TABLE = 'sitewright_nodelocaldns';
const HELPER = '/usr/local/sbin/sitewright-nodelocaldns';
const UNIT = 'sitewright-nodelocaldns.service';
const UNIT_FILE = `/etc/systemd/system/${UNIT}`;

function helper(address: string): string {
  const [family, prefixLength] = address.includes(':') ? ['ip6', 128] : ['ip', 32];
  return `#!/bin/sh
# Made by sitewright: the address of the node-local DNS cache. Edits are undone by the next change of the plan.
set -e
ip link show ${DEVICE} >/dev/null 2>&1 || ip link add ${DEVICE} type dummy
ip link set ${DEVICE} up
ip address replace ${address}/${prefixLength} dev ${DEVICE}
# One transaction: the first line makes the second one possible where there is no such table yet.
nft -f - <<'RULES'
table inet ${TABLE}
delete table inet ${TABLE}
table inet ${TABLE} {
  chain prerouting {
    type filter hook prerouting priority raw
    ${family} daddr ${address} meta l4proto { tcp, udp } th dport 53 notrack
  }
  chain output {
    type filter hook output priority raw
    ${family} daddr ${address} meta l4proto { tcp, udp } th dport 53 notrack
    ${family} saddr ${address} meta l4proto { tcp, udp } th sport 53 notrack
  }
}
RULES
`;
}

const UNIT_TEXT = `[Unit]
Description=Address of the node-local DNS cache (sitewright)
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=${HELPER}

[Install]
WantedBy=multi-user.target
`;

const assignments = (values: Record<string, string>): string =>
  Object.entries(values)
    .map(([name, value]) => assignment(name, value))
    .join('');

const APPLY = bash`
main() {
  step 'the address of the node-local DNS cache'
  local command
  for command in ip nft; do
    command -v "$command" >/dev/null ||
      refuse "$command is missing and the node-local DNS cache needs it: install iproute2 and nftables"
  done
  write_file "$HELPER" 0755 "$HELPER_TEXT"
  write_file "$UNIT_FILE" 0644 "$UNIT_TEXT"
  systemctl daemon-reload
  systemctl --quiet enable "$UNIT" || refuse "$UNIT cannot be enabled"
  # The helper is idempotent; what somebody took away by hand comes back.
  systemctl restart "$UNIT" && return
  journalctl --unit "$UNIT" --lines 5 --no-pager --output cat >&2
  refuse "$UNIT failed; its last messages are above"
}

main </dev/null
`;

/** Bash script for the SSH user; idempotent. `address` is without a prefix length. */
export function renderDeviceScript(address: string): string {
  const values = { AUDIT_LOG, HELPER, HELPER_TEXT: helper(address), UNIT, UNIT_FILE, UNIT_TEXT };
  return [`${AS_ROOT}${assignments(values)}`, CORE, APPLY].join('\n');
}

const REMOVE = bash`
set -u
export LC_ALL=C TZ=UTC0
[ -e "$UNIT_FILE" ] || exit 0
for file in "$UNIT_FILE" "$HELPER"; do
  printf '%(%Y-%m-%dT%H:%M:%SZ)T %s: present -> removed\n' -1 "$file" >>"$AUDIT_LOG"
done
systemctl --quiet disable --now "$UNIT"
ip link delete "$DEVICE" 2>/dev/null
nft delete table inet "$TABLE" 2>/dev/null
# The unit file goes last: a run that was cut off is finished by the next one.
rm -f "$HELPER" "$UNIT_FILE"
systemctl daemon-reload
exit 0
`;

/** Bash script for the SSH user that takes all of it away; recorded with the resource, so it needs nothing of the plan. */
export function renderDeviceRemoval(): string {
  return renderRemoval(`${assignments({ AUDIT_LOG, HELPER, UNIT, UNIT_FILE, DEVICE, TABLE })}${REMOVE}`);
}
