as_root() { if [ "$EUID" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }
as_root bash -s <<'END_OF_REMOVE'
AUDIT_LOG='/var/log/sitewright/audit.log'
HELPER='/usr/local/sbin/sitewright-nodelocaldns'
UNIT='sitewright-nodelocaldns.service'
UNIT_FILE='/etc/systemd/system/sitewright-nodelocaldns.service'
DEVICE='nodelocaldns'
TABLE='sitewright_nodelocaldns'
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
END_OF_REMOVE
