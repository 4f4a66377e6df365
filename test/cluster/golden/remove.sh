as_root() { if [ "$EUID" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }
as_root bash -s <<'END_OF_REMOVE'
SITE='oslo'
STAMP_FILE='/etc/sitewright/stamp.json'
CRI_SOCKET='unix:///run/containerd/containerd.sock'
BUNDLES_DIRECTORY='/var/lib/sitewright/bundles'
CNI_FILE='/etc/cni/net.d/10-sitewright.conflist'
PROGRAMS=('/usr/local/bin/kubelet')
VIP_UNITS=('sitewright-vip' 'sitewright-api-proxy')
VIP_FOLDER='/etc/sitewright/vip'
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
for unit in "${VIP_UNITS[@]}" kubelet containerd sitewright-pod-masquerade sitewright-kubelet-certificates; do
  [ ! -e "/etc/systemd/system/$unit.service" ] || systemctl disable --now "$unit.service" >&2
  rm -rf "/etc/systemd/system/$unit.service" "/etc/systemd/system/$unit.service.d"
done
systemctl disable --now sitewright-kubelet-certificates.timer 2>/dev/null
rm -f /etc/systemd/system/sitewright-kubelet-certificates.timer /usr/local/sbin/sitewright-kubelet-certificates
systemctl daemon-reload
if command -v nft >/dev/null; then nft delete table inet sitewright_pods 2>/dev/null; fi
for device in cni0 vxlan.calico vxlan-v6.calico wireguard.cali wg-v6.cali; do ip link delete "$device" 2>/dev/null; done
rm -f "${PROGRAMS[@]}" "$CNI_FILE" /etc/containerd/config.toml /etc/crictl.yaml /etc/sitewright/pod-masquerade.nft \
  /etc/systemd/network/05-sitewright-pods.network /etc/NetworkManager/conf.d/90-sitewright-pods.conf
sed -i '/^# BEGIN sitewright api$/,/^# END sitewright api$/d' /etc/hosts
for folder in /etc/containerd/certs.d/*/; do
  grep -qs 'Made by sitewright' "$folder/hosts.toml" && rm -rf "$folder"
done
rm -rf "$VIP_FOLDER" "$BUNDLES_DIRECTORY" /etc/sitewright/registries /etc/kubernetes /var/lib/kubelet /var/lib/sitewright/cluster /var/lib/sitewright/images \
  /opt/cni/bin/calico /opt/cni/bin/calico-ipam /var/lib/calico /etc/cni/net.d/10-calico.conflist /etc/cni/net.d/calico-kubeconfig
exit 0
END_OF_REMOVE
