import { bash } from '../../nodes/bash';

/** For scripts that know nothing of the plan. */
export const LOCAL_API_READY = bash`
# The API of this machine, and not the one that the cluster's name leads to.
local_api_ready() {
  local line server=''
  while read -r line; do
    case $line in server:*) server=\${line#server: } ;; esac
  done </etc/kubernetes/scheduler.conf
  kubectl --kubeconfig /etc/kubernetes/admin.conf --server "$server" --request-timeout 30s get --raw /readyz
}
`;
