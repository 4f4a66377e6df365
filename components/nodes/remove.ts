import { bash, quote } from './bash';
import { renderRemoval } from './prep/asRoot';
import {
  AUDIT_LOG,
  HOSTS_BEGIN,
  HOSTS_END,
  MASKED_UNITS,
  MODULES_FILE,
  OFFLOAD_HELPER,
  OWN_NETWORK_FILE,
  STAMP_FILE,
  SYSCTL_FILE,
  UDEV_RULES_FILE,
} from './script';

/**
 * What deleting a node does to a machine that the kit did not make: every file that preparation wrote goes, swap entries
 * come back, the network returns to the owner's configuration. What stays until the next restart: loaded modules, values
 * of sysctls, offloads and an MTU that the owner's configuration does not state. What stays for good: installed packages,
 * /etc/resolv.conf where systemd-resolved does not write it, and the audit log.
 * A machine that meanwhile carries the stamp of another site is left alone.
 */
const REMOVE = bash`
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
rmdir "\${STAMP_FILE%/*}" 2>/dev/null
exit 0
`;

/** Bash script for the SSH user; knows nothing but the name of the site, so that it can be recorded. */
export function renderRemoveScript(site: string): string {
  const values = {
    SITE: site,
    STAMP_FILE,
    AUDIT_LOG,
    HOSTS_BEGIN,
    HOSTS_END,
    MASKED_UNITS,
    MODULES_FILE,
    SYSCTL_FILE,
    OFFLOAD_HELPER,
    UDEV_RULES_FILE,
    OWN_NETWORK_FILE,
  };
  const data = Object.entries(values)
    .map(([name, value]) => `${name}=${quote(value)}\n`)
    .join('');
  return renderRemoval(`${data}${REMOVE}`);
}
