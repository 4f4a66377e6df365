import { bash } from '../../nodes/bash';

/** A control plane that does not answer, or cannot for much longer. */
export const REPAIR = bash`
# repair_control_plane: what is needed for an API server to run, and is there, stays as it is; kubeadm writes what is
# missing, and static pods that are not those it wrote last.
repair_control_plane() {
  local unit phase applied sum path name
  step 'the API server does not answer: looks at what it needs'
  # etcd would begin an empty cluster in the place of the one that was here.
  [ -d "$ETCD_FOLDER/member" ] ||
    refuse "the data of etcd is gone from this machine ($ETCD_FOLDER/member): 'sitewright etcd restore $SITE' brings back a snapshot; a machine beside other control-plane nodes is declared 'state: dead' and added again"
  for unit in containerd kubelet; do
    systemctl --quiet is-active "$unit.service" && continue
    audit "unit $unit" stopped started
    systemctl start "$unit.service" >&2
  done
  for phase in 'certs all' 'kubeconfig all'; do
    # shellcheck disable=SC2086 # two words
    run_kubeadm init phase $phase --config "$KUBEADM_FILE" || refuse "kubeadm could not see to $phase; its last words are above"
  done
  slurp applied "$STATE_FOLDER/control-plane"
  sum_of sum "\${MANIFESTS[@]}"
  [ "\${applied#* }" != "$sum" ] || return 0
  step 'the static pods of the control plane are missing or were changed: kubeadm writes them again'
  render_manifests
  for path in "\${MANIFESTS[@]}"; do
    name=\${path##*/}
    cmp -s "$RENDERED/$name" "$path" || { audit "$path" 'missing or changed' 'as planned' && chmod 0600 "$RENDERED/$name" && mv -f "$RENDERED/$name" "$path"; }
  done
  rm -rf "$RENDERED"
  sum_of sum "\${MANIFESTS[@]}"
  remember control-plane "\${applied%% *} $sum"
}
`;
