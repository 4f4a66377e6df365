as_root() { if [ "$EUID" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }
as_root bash -s <<'END_OF_REMOVE'
SITE='oslo'
STAMP_FILE='/etc/sitewright/stamp.json'
AUDIT_LOG='/var/log/sitewright/audit.log'
HOSTS_BEGIN='# BEGIN sitewright'
HOSTS_END='# END sitewright'
MASKED_UNITS='/etc/sitewright/masked-units'
MODULES_FILE='/etc/modules-load.d/k8s-net.conf'
SYSCTL_FILE='/etc/sysctl.d/k8s-net.conf'
OFFLOAD_HELPER='/usr/local/sbin/sitewright-offloads'
UDEV_RULES_FILE='/etc/udev/rules.d/90-sitewright-offloads.rules'
OWN_NETWORK_FILE='/etc/systemd/network/05-sitewright.network'
set -u
export LC_ALL=C TZ=UTC0
stamp=
[ ! -r "$STAMP_FILE" ] || IFS= read -r -d '' stamp <"$STAMP_FILE" || true
case $stamp in
  '') exit 0 ;;
  *"\"site\": \"$SITE\""*) ;;
  *)
    echo "step: this machine belongs to another site now and is left as it is" >&2
    exit 0
    ;;
esac

echo 'step: removing what preparation wrote' >&2
removed() { printf '%(%Y-%m-%dT%H:%M:%SZ)T %s: present -> removed\n' -1 "$1" >>"$AUDIT_LOG"; }

if grep -q '^#sitewright: ' /etc/fstab; then
  removed 'swap comments of /etc/fstab'
  sed -i 's/^#sitewright: //' /etc/fstab
fi
if [ -e "$MASKED_UNITS" ]; then
  while read -r unit; do
    removed "mask of $unit"
    systemctl unmask "$unit" >&2
  done <"$MASKED_UNITS"
fi
if grep -qxF "$HOSTS_BEGIN" /etc/hosts; then
  removed "block of /etc/hosts"
  sed -i "/^$HOSTS_BEGIN$/,/^$HOSTS_END$/d" /etc/hosts
fi
for file in "$MODULES_FILE" "$SYSCTL_FILE" "$OFFLOAD_HELPER" "$UDEV_RULES_FILE" "$OWN_NETWORK_FILE" "$MASKED_UNITS" \
  /etc/chrony/sources.d/sitewright.sources /etc/systemd/*.conf.d/90-sitewright.conf \
  /etc/systemd/network/*.network.d/90-sitewright.conf /etc/cloud/cloud.cfg.d/99-sitewright-network.cfg; do
  [ -e "$file" ] || continue
  removed "$file"
  rm -f "$file"
done
rmdir /etc/systemd/{journald,timesyncd,networkd}.conf.d /etc/systemd/network/*.network.d 2>/dev/null

systemctl daemon-reload
udevadm control --reload
systemctl restart systemd-journald.service
systemctl try-restart systemd-timesyncd.service chrony.service 2>/dev/null
if systemctl --quiet is-active systemd-networkd.service; then networkctl reload; fi

# The stamp goes last: a run that was cut off is finished by the next one.
removed "$STAMP_FILE"
rm -f "$STAMP_FILE"
rmdir "${STAMP_FILE%/*}" 2>/dev/null
exit 0
END_OF_REMOVE
