import { bash } from '../../nodes/bash';

/** Which file kubelet gives pods their resolvers of. */
export const RESOLVER_STATE = bash`
# resolver_differs: sets RESOLVER and RESOLVER_PLANNED. kubeadm chooses when a node joins: the stub of systemd-resolved is
# nothing that a pod could reach, and CoreDNS would ask itself through it.
resolver_differs() {
  local line
  RESOLVER=/etc/resolv.conf RESOLVER_PLANNED=/etc/resolv.conf
  while read -r line; do
    [[ $line != 'resolvConf: '* ]] || RESOLVER=\${line#resolvConf: }
  done </var/lib/kubelet/config.yaml
  ! command systemctl --quiet is-active systemd-resolved.service || RESOLVER_PLANNED=/run/systemd/resolve/resolv.conf
  [ "$RESOLVER" != "$RESOLVER_PLANNED" ]
}
`;
