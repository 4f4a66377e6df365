import { bash } from '../../nodes/bash';

/** Who lets kubelets have certificates, on a control-plane node (../kubeletCertificates). */
export const KUBELET_CERTIFICATES = bash`
kubelet_certificates_apply() {
  local unit=$KUBELET_CERTIFICATES_UNIT.timer
  step 'certificates of kubelets'
  write_file "$KUBELET_NAMES_FILE" 0600 "$KUBELET_NAMES"
  write_file "$KUBELET_CERTIFICATES_PROGRAM" 0755 "$KUBELET_CERTIFICATES_TEXT"
  write_file "/etc/systemd/system/$KUBELET_CERTIFICATES_UNIT.service" 0644 "$KUBELET_CERTIFICATES_SERVICE" "$unit"
  write_file "/etc/systemd/system/$unit" 0644 "$KUBELET_CERTIFICATES_TIMER" "$unit"
  if is_pending "$unit"; then
    systemctl daemon-reload >&2
    settle "$unit" systemctl enable --now "$unit"
  fi
}
`;
