import { bash } from '../../nodes/bash';

/** Pods off a node and back, run on a control-plane node. PodDisruptionBudgets are respected: an eviction waits for them. */
export const DRAIN = bash`
cordon_node() {
  [ "$(admin_kubectl get node "$NODE" -o 'jsonpath={.spec.unschedulable}')" != true ] || return 0
  audit "Node $NODE" schedulable cordoned
  admin_kubectl cordon "$NODE" >&2 || refuse "$NODE could not be cordoned; kubectl's message is above"
}

uncordon_node() {
  [ "$(admin_kubectl get node "$NODE" -o 'jsonpath={.spec.unschedulable}')" = true ] || return 0
  audit "Node $NODE" cordoned schedulable
  admin_kubectl uncordon "$NODE" >&2 || refuse "$NODE could not be uncordoned; kubectl's message is above"
}

# drain_node SECONDS: pods of DaemonSets and of the node itself stay, and data of emptyDir volumes goes with its pod.
# A pod that nothing would make again elsewhere is not evicted: that is for its owner to decide.
drain_node() {
  local line pod failed='' told=' '
  local -a blocked=() last=()
  cordon_node
  step "draining $NODE"
  exec 8< <(admin_kubectl drain "$NODE" --ignore-daemonsets --delete-emptydir-data --timeout "$1s" 2>&1 </dev/null || printf 'exit code %s of kubectl\n' $?)
  while IFS= read -r line <&8; do
    pod=''
    if [[ $line =~ ^error\ when\ evicting\ pods/\"([^\"]+)\"\ -n\ \"([^\"]+)\".*disruption\ budget ]]; then
      pod="\${BASH_REMATCH[2]}/\${BASH_REMATCH[1]}"
      [[ $told = *" blocked:$pod "* ]] || {
        step "waiting for a PodDisruptionBudget that holds $pod"
        told+="blocked:$pod " blocked+=("$pod")
      }
    elif [[ $line =~ ^evicting\ pod\ ([^ ]+)$ ]]; then
      pod=\${BASH_REMATCH[1]}
      [[ $told = *" $pod "* ]] || step "evicting $pod"
      told+="$pod "
    elif [[ $line =~ ^exit\ code\ [0-9]+\ of\ kubectl$ ]]; then
      failed=yes
    elif [[ $line != Warning:* ]]; then
      last+=("$line")
      [ "\${#last[@]}" -le 15 ] || last=("\${last[@]:1}")
    fi
  done
  exec 8<&-
  [ -n "$failed" ] || return 0
  printf '  %s\n' "\${last[@]}" >&2
  for pod in "\${blocked[@]}"; do
    still_there "$pod" || continue
    problem "pod $pod" evicted 'still there' "held by a PodDisruptionBudget ($(tight_budgets "\${pod%%/*}"))"
  done
  [ "\${#PROBLEMS[@]}" -eq 0 ] || printf 'problem: %s\n' "\${PROBLEMS[@]}" >&2
  refuse "$NODE could not be drained within $1 seconds; what is above says why. It stays cordoned, and the next run goes on with it"
}

# still_there NAMESPACE/POD
still_there() {
  [ "$(admin_kubectl -n "\${1%%/*}" get pod "\${1#*/}" --ignore-not-found -o 'jsonpath={.spec.nodeName}')" = "$NODE" ]
}

# tight_budgets NAMESPACE: those that allow no disruption now.
tight_budgets() {
  local name allowed text=''
  while read -r name allowed; do
    [ "\${allowed:-0}" != 0 ] || text+="\${text:+, }$1/$name"
  done < <(admin_kubectl -n "$1" get poddisruptionbudgets -o 'jsonpath={range .items[*]}{.metadata.name} {.status.disruptionsAllowed}{"\n"}{end}' 2>/dev/null)
  printf '%s' "\${text:-none of them is tight now: run again}"
}
`;
