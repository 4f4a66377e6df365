import { bash } from '../../nodes/bash';

/** The order of the work that every node needs before kubeadm. */
export const RUNTIME = bash`
# kubeadm moves a cluster by one version, node by node. Programs of another one must not get under it.
refuse_other_version() {
  local found
  [ -e /etc/kubernetes/kubelet.conf ] && [ -x "$PROGRAM_FOLDER/kubelet" ] || return 0
  found=$("$PROGRAM_FOLDER/kubelet" --version 2>/dev/null)
  found=\${found#Kubernetes v}
  [ -z "$found" ] || [ "$found" = "$KUBERNETES_VERSION" ] ||
    refuse "this node runs Kubernetes $found and the site file says $KUBERNETES_VERSION: a running cluster is not upgraded by this release of the kit; set kubernetes.version to $found"
}

main() {
  lock "$LIMIT_SECONDS"
  refuse_other_version
  programs_apply
  containerd_apply
  images_apply
  kubelet_apply
  masquerade_apply
  cni_devices_apply
  cni_apply
  finish
  printf '{"schemaVersion": 1, "bundle": "%s", "containerd": "%s", "kubernetes": "%s", "images": %d}\n' \
    "$BUNDLE_ID" "$CONTAINERD_VERSION" "$KUBERNETES_VERSION" "\${#IMAGES[@]}"
}
`;
