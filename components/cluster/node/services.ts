import { bash } from '../../nodes/bash';

/** containerd and kubelet as services, and the small files beside them. */
export const SERVICES = bash`
containerd_answers() { ctr version; }

containerd_apply() {
  step 'containerd'
  write_file /etc/containerd/config.toml 0644 "$CONTAINERD_CONFIG" containerd
  write_file /etc/systemd/system/containerd.service 0644 "$CONTAINERD_UNIT" containerd
  write_file /etc/crictl.yaml 0644 "$CRICTL_CONFIG"
  # A restart of a machine makes what is in /run new: systemd has read its units then, too.
  if is_pending containerd; then
    systemctl daemon-reload >&2
    step 'containerd takes over what changed; containers go on meanwhile'
    settle containerd systemctl restart containerd.service
  fi
  enable_unit containerd
  systemctl --quiet is-active containerd.service || settle_now containerd systemctl start containerd.service
  wait_until "$LIMIT_SECONDS" 'containerd answers' containerd_answers ||
    refuse 'containerd does not answer: see journalctl -u containerd on this machine'
}

# kubeadm starts kubelet when it has written what kubelet reads; before, there is nothing that it could do.
kubelet_apply() {
  step 'kubelet'
  write_file /etc/systemd/system/kubelet.service 0644 "$KUBELET_UNIT" kubelet
  write_file /etc/systemd/system/kubelet.service.d/10-kubeadm.conf 0644 "$KUBEADM_DROP_IN" kubelet
  if is_pending kubelet; then
    systemctl daemon-reload >&2
    if systemctl --quiet is-active kubelet.service; then
      settle kubelet systemctl restart kubelet.service
    else
      settled kubelet
    fi
  fi
  enable_unit kubelet
}

# Pods reach what is outside the cluster by the address of their node: rules that are loaded at every boot, and now.
masquerade_apply() {
  local unit=sitewright-pod-masquerade
  if [ -z "$MASQUERADE_FILE" ]; then
    [ -e "/etc/systemd/system/$unit.service" ] || return 0
    audit "unit $unit" enabled removed
    systemctl disable --now "$unit.service" >&2
    rm -f "/etc/systemd/system/$unit.service"
    return
  fi
  step 'masquerading of pods'
  write_file "$MASQUERADE_FILE" 0644 "$MASQUERADE_RULES" "$unit"
  write_file "/etc/systemd/system/$unit.service" 0644 "$MASQUERADE_UNIT" "$unit"
  enable_unit "$unit"
  if is_pending "$unit"; then
    systemctl daemon-reload >&2
    settle "$unit" systemctl restart "$unit.service"
  fi
  systemctl --quiet is-active "$unit.service" || settle_now "$unit" systemctl start "$unit.service"
}

# containerd takes the first file of the folder by name, and sees changes by itself.
cni_apply() {
  local path
  step 'CNI configuration'
  if [ -n "$CNI_CONFIG" ]; then
    write_file "$CNI_FILE" 0644 "$CNI_CONFIG"
  elif [ -e "$CNI_FILE" ]; then
    audit "$CNI_FILE" present removed
    rm -f "$CNI_FILE"
  fi
  [ -n "$CNI_CONFIG" ] || return 0
  for path in "\${CNI_FILE%/*}"/*.{conf,conflist,json}; do
    [[ -e $path && \${path##*/} < \${CNI_FILE##*/} ]] || continue
    problem "$path" "no file before $CNI_FILE" 'one that comes first' 'pods would get the network that it describes: remove it'
  done
}
`;
