import { bash } from '../../nodes/bash';

/** Devices of the pods' network belong to whoever makes them: what configures a machine's network leaves them alone. */
export const CNI_DEVICES = bash`
NETWORKD_DEVICES_FILE=/etc/systemd/network/05-sitewright-pods.network
NETWORKMANAGER_DEVICES_FILE=/etc/NetworkManager/conf.d/90-sitewright-pods.conf

# devices_file PATH CONTENT SERVICE COMMAND...: where the service runs. Without content what an earlier plan put there goes.
devices_file() {
  local path=$1 content=$2 service=$3
  shift 3
  if [ -n "$content" ]; then
    systemctl --quiet is-active "$service.service" || return 0
    write_file "$path" 0644 "$content" "$service-devices"
  elif [ -e "$path" ]; then
    audit "$path" present removed
    rm -f "$path"
    pending "$service-devices"
  fi
  settle "$service-devices" "$@"
}

cni_devices_apply() {
  local networkd='' manager='' patterns=$CNI_DEVICE_NAMES
  if [ -n "$patterns" ]; then
    step 'devices of the pods stay out of the configuration of the machine'
    networkd=$'# Made by sitewright; edits are undone.\n[Match]\nName='"$patterns"$'\n\n[Link]\nUnmanaged=yes\n'
    manager=$'# Made by sitewright; edits are undone.\n[keyfile]\nunmanaged-devices=interface-name:'"\${patterns// /;interface-name:}"$'\n'
  fi
  devices_file "$NETWORKD_DEVICES_FILE" "$networkd" systemd-networkd networkctl reload
  devices_file "$NETWORKMANAGER_DEVICES_FILE" "$manager" NetworkManager nmcli general reload
}
`;
