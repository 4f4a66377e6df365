import * as pulumi from '@pulumi/pulumi';
import { remoteScript } from '../../commands';
import { goneWith, scriptFor, type Machine } from '../../machines/machine';
import { assignment, bash } from '../../nodes/bash';
import { AS_ROOT } from '../../nodes/prep/asRoot';
import { CORE } from '../../nodes/prep/core';
import { WAIT_UNTIL } from '../../nodes/prep/waitUntil';
import { CALICO_NAMESPACE } from '../../plan/calico';
import type { CalicoPlan } from '../../plan/calicoTypes';
import type { KubeProxyPlan } from '../../plan/clusterTypes';

/**
 * calico-node learns how kube-proxy makes the rules of Services when it starts: after another mode it has to start again,
 * on every node, and not before kube-proxy has moved (networking facts, section 5).
 *
 * A script and no value of the manifest: that is applied long before kube-proxy, on which nodes that join do not wait.
 * Which mode calico-node started with is noted on the object that its pods are made of, so a cluster that is new, or
 * that had no note, keeps its pods.
 */

/** Of the object: what its pods started with. Of its pods: what makes them anew. */
const PROXY_MODE_ANNOTATION = 'sitewright.internal/proxy-mode';

/** What the pods of calico-node are made of, and where its template takes annotations. The operator owns its DaemonSet. */
const SOURCE: Record<CalicoPlan['install'], { kind: string; name: string; template: (annotations: object) => object }> =
  {
    manifest: {
      kind: 'daemonset.apps',
      name: 'calico-node',
      template: (annotations) => ({ template: { metadata: { annotations } } }),
    },
    operator: {
      kind: 'installation.operator.tigera.io',
      name: 'default',
      template: (annotations) => ({ calicoNodeDaemonSet: { spec: { template: { metadata: { annotations } } } } }),
    },
  };

const FOLLOW = bash`
admin_kubectl() { kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 60s -n "$NAMESPACE" "$@"; }

# note_of VARIABLE OBJECT PATH: the mode that is noted there.
note_of() {
  local text
  text=$(admin_kubectl get "$2" -o "jsonpath={$3.annotations.$NOTE_PATH}") || return 1
  printf -v "$1" '%s' "$text"
}
template_has_mode() {
  local found
  note_of found daemonset.apps/calico-node .spec.template.metadata && [ "$found" = "$PROXY_MODE" ]
}
note_mode() {
  admin_kubectl annotate "$SOURCE" --overwrite "$NOTE=$PROXY_MODE" >&2 ||
    refuse "the mode of kube-proxy cannot be noted on $SOURCE; kubectl's message is above"
}

main() {
  local noted
  step 'whether calico-node started with the mode of kube-proxy'
  note_of noted "$SOURCE" .metadata || refuse "$SOURCE cannot be read; kubectl's message is above"
  case $noted in
    "$PROXY_MODE") return ;;
    '') note_mode && return ;;
  esac
  step "kube-proxy went from $noted to $PROXY_MODE: restarting calico-node node by node"
  admin_kubectl patch "$SOURCE" --type merge --patch "$PATCH" >&2 ||
    refuse "calico-node cannot be restarted; kubectl's message is above"
  wait_until 300 'calico-node has its new template' template_has_mode ||
    refuse 'the template of calico-node has not changed after 5 minutes: see the log of the operator of Calico'
  kubectl --kubeconfig /etc/kubernetes/admin.conf -n "$NAMESPACE" rollout status daemonset.apps/calico-node \
    --timeout "\${LIMIT_SECONDS}s" >&2 </dev/null ||
    refuse "calico-node has not been restarted on every node after $LIMIT_SECONDS seconds: kubectl -n $NAMESPACE get pods -l k8s-app=calico-node says where it stands; 'up' goes on there"
  note_mode
}

main </dev/null
`;

/** Bash script for the SSH user of a control-plane machine; idempotent, and a run that was cut off is finished by the next. */
export function renderFollowProxy(
  install: CalicoPlan['install'],
  mode: KubeProxyPlan['mode'],
  limitSeconds: number,
): string {
  const { kind, name, template } = SOURCE[install];
  const values = {
    NAMESPACE: CALICO_NAMESPACE[install],
    SOURCE: `${kind}/${name}`,
    PROXY_MODE: mode,
    NOTE: PROXY_MODE_ANNOTATION,
    NOTE_PATH: PROXY_MODE_ANNOTATION.replace(/\./g, '\\.'),
    PATCH: JSON.stringify({ spec: template({ [PROXY_MODE_ANNOTATION]: mode }) }),
    LIMIT_SECONDS: String(limitSeconds),
  };
  const data = Object.entries(values).map(([key, value]) => assignment(key, value));
  return [AS_ROOT + data.join(''), CORE, WAIT_UNTIL, FOLLOW].join('\n');
}

export interface FollowProxyArgs {
  install: CalicoPlan['install'];
  mode: KubeProxyPlan['mode'];
  /** A control-plane machine, where kubectl is. */
  machine: Machine;
  /** kube-proxy on every node, in this mode. */
  after: pulumi.Resource[];
  limitSeconds: number;
}

export const followProxy = (
  name: string,
  { install, mode, machine, after, limitSeconds }: FollowProxyArgs,
  opts: pulumi.CustomResourceOptions,
) =>
  remoteScript(
    name,
    machine.connection,
    { script: scriptFor(machine, renderFollowProxy(install, mode, limitSeconds)) },
    { ...opts, dependsOn: after, ...goneWith(machine) },
  );
