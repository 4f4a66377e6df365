import { bash } from '../../nodes/bash';

/** The order of the work that every node needs before kubeadm. */
export const RUNTIME = bash`
# A cluster is moved to another version node by node, drained first: programs of another one come with that alone.
refuse_other_version() {
  local found mark
  slurp mark "$STATE_FOLDER/upgrading"
  [ "\${mark%% *}" != "$KUBERNETES_VERSION" ] || return 0
  [ -e /etc/kubernetes/kubelet.conf ] && [ -x "$PROGRAM_FOLDER/kubelet" ] || return 0
  found=$("$PROGRAM_FOLDER/kubelet" --version 2>/dev/null)
  found=\${found#Kubernetes v}
  [ -z "$found" ] || [ "$found" = "$KUBERNETES_VERSION" ] ||
    refuse "this node runs Kubernetes $found and the site file says $KUBERNETES_VERSION, and the upgrade of the cluster has not come to it: run 'up' again"
}

main() {
  lock "$LIMIT_SECONDS"
  refuse_other_version
  programs_apply
  containerd_apply
  registries_apply
  images_apply
  images_release
  kubelet_apply
  masquerade_apply
  cni_devices_apply
  cni_apply
  finish
  printf '{"schemaVersion": 1, "bundle": "%s", "containerd": "%s", "kubernetes": "%s", "images": %d}\n' \
    "$BUNDLE_ID" "$CONTAINERD_VERSION" "$KUBERNETES_VERSION" "\${#IMAGES[@]}"
}
`;
