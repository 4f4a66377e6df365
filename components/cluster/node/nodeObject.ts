import { bash } from '../../nodes/bash';

/** What the first control-plane node does for any Node of the cluster. */
export const NODE_OBJECT = bash`
api_answers() { admin_kubectl get --raw /readyz; }
api_wait() {
  wait_until "$LIMIT_SECONDS" 'the API server answers' api_answers || refuse 'the API server does not answer: see journalctl -u kubelet on this machine'
}
node_ready() {
  [ "$(admin_kubectl get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

wait_node_ready() {
  # Without a CNI of the kit somebody else's makes it Ready, later.
  [ "$WAIT_READY" = no ] || wait_until "$LIMIT_SECONDS" "the Node $NODE is Ready" node_ready ||
    refuse "the Node $NODE is not Ready: $(admin_kubectl get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].message}')"
}

# By the certificate that the cluster signed: without it there are no logs, no exec and no metrics of the node.
kubelet_reached() {
  "$KUBELET_CERTIFICATES_PROGRAM" && [ "$(admin_kubectl get --raw "/api/v1/nodes/$NODE/proxy/healthz")" = ok ]
}
wait_kubelet_reached() {
  wait_until "$LIMIT_SECONDS" "the API server reaches kubelet of $NODE" kubelet_reached ||
    refuse "the API server does not reach kubelet of $NODE: $("$KUBELET_CERTIFICATES_PROGRAM" 2>&1; admin_kubectl get --raw "/api/v1/nodes/$NODE/proxy/healthz" 2>&1)"
}

# What the plan says of the Node, beyond what kubelet registered.
node_object_apply() {
  labels_apply
  taints_apply
  stays
}

# A node that was to leave, and is to stay before it was gone: cordoned by the kit then.
stays() {
  [[ $(admin_kubectl get node "$NODE" -o 'jsonpath={.metadata.annotations}') = *"\"$LEAVING_ANNOTATION\""* ]] || return 0
  audit "Node $NODE" leaving active
  { admin_kubectl uncordon "$NODE" && admin_kubectl annotate node "$NODE" "$LEAVING_ANNOTATION-"; } >&2 ||
    problem "Node $NODE" schedulable 'cordoned, as it was to leave' "kubectl's message is above"
}

labels_apply() {
  # Server-side: the labels that this manager put on the Node and no others go when they leave the plan. Unchecked: for a
  # check kubectl fetches the whole description of an API that may have started just now, and waits 32 s for it.
  printf '%s' "$NODE_MANIFEST" |
    admin_kubectl apply --validate=false --server-side --force-conflicts --field-manager=sitewright-node -f - >&2 ||
    problem "labels of $NODE" 'as planned' 'not set' 'kubectl apply failed; its message is above'
}

# The list of taints has other writers too, so each is set and taken away by itself. Those of the kit are remembered here.
taints_apply() {
  local taint before file="$STATE_FOLDER/taints-$NODE"
  local -a gone=()
  slurp before "$file"
  while IFS= read -r taint; do
    [ -z "$taint" ] || [[ " \${TAINTS[*]} " == *" $taint "* ]] || gone+=("\${taint%%[=:]*}:\${taint##*:}-")
  done <<<"$before"
  if [ "\${#TAINTS[@]}" -gt 0 ]; then
    admin_kubectl taint node "$NODE" --overwrite "\${TAINTS[@]}" >&2 || problem "taints of $NODE" "\${TAINTS[*]}" 'not set' 'kubectl taint failed; its message is above'
  fi
  for taint in "\${gone[@]}"; do
    audit "taint of $NODE" "$taint" removed
    # Somebody may have removed it by hand.
    admin_kubectl taint node "$NODE" "$taint" >&2 || true
  done
  printf -v before '%s\n' "\${TAINTS[@]}"
  printf '%s' "$before" >"$file.new" && mv -f "$file.new" "$file"
}
`;
