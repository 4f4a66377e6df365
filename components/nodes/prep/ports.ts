import { bash } from '../bash';

/** Ports of this node that the ingress controller is to listen on. */
export const PORTS = bash`
# Adds to the refusals of preflight. What runs in a pod is the controller itself, or the scheduler's matter.
check_ingress_ports() {
  local line address port process pid cgroup
  local -A taken_by=()
  [ "\${#INGRESS_PORTS[@]}" -gt 0 ] || return 0
  while IFS= read -r line; do
    read -r _ _ _ address _ <<<"$line"
    port=\${address##*:}
    [[ " \${INGRESS_PORTS[*]} " = *" $port "* ]] || continue
    process='the kernel' pid=''
    [[ $line =~ users:\(\(\"([^\"]*)\",pid=([0-9]+) ]] && process=\${BASH_REMATCH[1]} pid=\${BASH_REMATCH[2]}
    slurp cgroup "/proc/$pid/cgroup"
    [[ $cgroup != *kubepods* && -z \${taken_by["$port $process"]-} ]] || continue
    taken_by["$port $process"]=1
    refusals+=("TCP port $port is taken by $process\${pid:+ (process $pid)}, and the ingress controller of the site is to listen there: stop it on this machine, or choose other machines by ingress.nodes")
  done < <(ss -Hltnp)
}
`;
