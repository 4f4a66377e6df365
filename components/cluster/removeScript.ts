import { BUNDLES_DIRECTORY } from '../machines/bundle';
import { assignment, bash } from '../nodes/bash';
import { renderRemoval } from '../nodes/prep/asRoot';
import { STAMP_FILE } from '../nodes/script';
import { CNI_CONFIGURATION_FILE, CRI_SOCKET } from '../plan/clusterPaths';
import { HAPROXY_UNIT, KEEPALIVED_UNIT, VIP_FOLDER } from './vipFiles';

/**
 * What deleting a node of the cluster does to a machine that the kit did not make: kubeadm takes the node apart, data of
 * etcd included, and everything that the kit installed for it goes. What stays: images and layers in /var/lib/containerd,
 * logs, and the rules that kube-proxy and Calico made, until the machine restarts.
 */
const REMOVE = bash`
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
stamp=
[ ! -r "$STAMP_FILE" ] || IFS= read -r -d '' stamp <"$STAMP_FILE" || true
case $stamp in
  '' | *"\"site\": \"$SITE\""*) ;;
  *)
    echo 'step: this machine belongs to another site now and is left as it is' >&2
    exit 0
    ;;
esac

echo 'step: taking the node of the cluster apart' >&2
if command -v kubeadm >/dev/null && [ -e /etc/kubernetes ]; then
  kubeadm reset --force --cri-socket "$CRI_SOCKET" >&2 || exit 1
fi
systemctl disable --now sitewright-etcd-snapshot.timer 2>/dev/null
rm -f /etc/systemd/system/sitewright-etcd-snapshot.{timer,service} /usr/local/sbin/sitewright-etcd-snapshot
for unit in "\${VIP_UNITS[@]}" kubelet containerd sitewright-pod-masquerade sitewright-kubelet-certificates; do
  [ ! -e "/etc/systemd/system/$unit.service" ] || systemctl disable --now "$unit.service" >&2
  rm -rf "/etc/systemd/system/$unit.service" "/etc/systemd/system/$unit.service.d"
done
systemctl disable --now sitewright-kubelet-certificates.timer 2>/dev/null
rm -f /etc/systemd/system/sitewright-kubelet-certificates.timer /usr/local/sbin/sitewright-kubelet-certificates
systemctl daemon-reload
if command -v nft >/dev/null; then nft delete table inet sitewright_pods 2>/dev/null; fi
for device in cni0 vxlan.calico vxlan-v6.calico wireguard.cali wg-v6.cali; do ip link delete "$device" 2>/dev/null; done
rm -f "\${PROGRAMS[@]}" "$CNI_FILE" /etc/containerd/config.toml /etc/crictl.yaml /etc/sitewright/pod-masquerade.nft \
  /etc/systemd/network/05-sitewright-pods.network /etc/NetworkManager/conf.d/90-sitewright-pods.conf
sed -i '/^# BEGIN sitewright api$/,/^# END sitewright api$/d' /etc/hosts
for folder in /etc/containerd/certs.d/*/; do
  grep -qs 'Made by sitewright' "$folder/hosts.toml" && rm -rf "$folder"
done
rm -rf "$VIP_FOLDER" "$BUNDLES_DIRECTORY" /etc/sitewright/registries /etc/kubernetes /var/lib/kubelet /var/lib/sitewright/cluster /var/lib/sitewright/images \
  /opt/cni/bin/calico /opt/cni/bin/calico-ipam /var/lib/calico /etc/cni/net.d/10-calico.conflist /etc/cni/net.d/calico-kubeconfig
exit 0
`;

/** Bash script for the SSH user; it is recorded, so it knows what a later program may not: the programs that were installed. */
export function renderClusterRemoveScript(site: string, programs: string[]): string {
  const data = [
    assignment('SITE', site),
    assignment('STAMP_FILE', STAMP_FILE),
    assignment('CRI_SOCKET', CRI_SOCKET),
    assignment('BUNDLES_DIRECTORY', BUNDLES_DIRECTORY),
    assignment('CNI_FILE', CNI_CONFIGURATION_FILE),
    assignment('PROGRAMS', programs),
    assignment('VIP_UNITS', [KEEPALIVED_UNIT, HAPROXY_UNIT]),
    assignment('VIP_FOLDER', VIP_FOLDER),
  ].join('');
  return renderRemoval(`${data}${REMOVE}`);
}
