import { bash } from '../../components/nodes/bash';
import { ETCD_MEMBER } from '../../components/cluster/node/etcdMember';
import { CLUSTER_CORE } from '../../components/cluster/node/core';
import { LOCAL_API_READY } from '../../components/cluster/node/localApi';
import { AS_ROOT } from '../../components/nodes/prep/asRoot';
import { CORE } from '../../components/nodes/prep/core';
import { AUDIT_LOG } from '../../components/nodes/script';
import { ENCRYPTION_FILE } from '../../components/plan/clusterPaths';
import { runScript } from '../../components/ssh/script';
import { SshSession } from '../../components/ssh/session';
import type { NamedTarget } from './targets';

/** What a rotation of the key of Secrets at rest does on control-plane machines, beside the file with the keys. */

/** The API server reads its keys when it starts: one that is older than the file is started again. */
const RESTART = bash`
api_runs_anew() { runs_anew kube-apiserver "$1" && local_api_ready; }

main() {
  local id started=0
  lock 600
  grep -q "name: $KEY\$" "$ENCRYPTION_FILE" || refuse "$ENCRYPTION_FILE has no $KEY: 'sitewright up' did not write it"
  id=$(running kube-apiserver)
  [ -z "$id" ] || started=$(date -d "$(crictl inspect --output go-template --template '{{.status.startedAt}}' "$id" | sed 's/ [A-Z]*$//')" +%s)
  if [ -n "$id" ] && [ "$started" -le "$(stat -c %Y "$ENCRYPTION_FILE")" ]; then
    step 'restarts the API server, which takes over the keys'
    crictl stop --timeout 30 "$id" >/dev/null || refuse 'the API server could not be stopped'
    wait_until "$LIMIT_SECONDS" 'the API of this machine is ready' api_runs_anew "$id" ||
      refuse "the API of this machine is not ready: see 'crictl ps -a' and journalctl -u kubelet"
  fi
  wait_until "$LIMIT_SECONDS" 'the API of this machine is ready' local_api_ready || refuse 'the API of this machine is not ready'
}
`;

/**
 * Every Secret is written as it is, by which it is encrypted with the first key. What counts is what etcd then has: a
 * Secret that was left out could never be read again without the old key.
 */
const REWRITE = bash`
secrets() { kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 300s "$@"; }

# old_secrets: OLD, how many Secrets in etcd are not written with the new key.
old_secrets() {
  local found
  found=$(set -o pipefail
    etcdctl_here 300 get /registry/secrets/ --prefix --write-out json |
      tr ',' '\n' | awk -F '"' -v prefix="$PREFIX" '$2 == "value" { if (index($4, prefix) == 1) new++; else old++ } END { print old + 0, new + 0 }') ||
    refuse 'etcd could not be asked for its Secrets; the message of etcdctl is above'
  OLD=\${found% *}
  step "$OLD of $((OLD + \${found#* })) Secrets are still written with another key"
}

main() {
  local round namespace
  lock 600
  old_secrets
  # One that changes while it is written is refused by the API server, and comes with the next round.
  for round in 1 2 3 4 5; do
    [ "$OLD" -gt 0 ] || break
    while IFS= read -r namespace; do
      step "writes the Secrets of $namespace (round $round)"
      secrets --namespace "$namespace" get secrets --output json | secrets replace --validate=false --filename - >/dev/null
    done < <(secrets get secrets --all-namespaces --output 'jsonpath={range .items[*]}{.metadata.namespace}{"\n"}{end}' | sort -u)
    old_secrets
  done
  [ "$OLD" -eq 0 ] || refuse "$OLD Secrets are not written with the new key; the messages of kubectl are above. The old key stays: run again"
}
`;

const render = (library: string, key: string, limitSeconds: number) =>
  `${AS_ROOT}
KEY=${key}
PREFIX=${valuePrefix(key)}
LIMIT_SECONDS=${limitSeconds}
ENCRYPTION_FILE=${ENCRYPTION_FILE}
AUDIT_LOG=${AUDIT_LOG}
RUN_DIR=/run/sitewright
${CORE}${CLUSTER_CORE}${ETCD_MEMBER}${LOCAL_API_READY}${library}main </dev/null
`;

/** How base64 of a value in etcd begins that was written with a key; the last bits depend on what follows. */
export function valuePrefix(key: string): string {
  const prefix = Buffer.from(`k8s:enc:secretbox:v1:${key}:`);
  return prefix.toString('base64').slice(0, Math.floor((prefix.length * 8) / 6));
}

async function run({ name, target }: NamedTarget, script: string, say: (text: string) => void): Promise<void> {
  const session = await SshSession.connect(target);
  try {
    await runScript(session, script, { name, onProgress: say });
  } finally {
    session.end();
  }
}

/** Sees to it that the API server of a machine runs with the keys of its file, of which one is `key`. */
export const takeOverKeys = (host: NamedTarget, key: string, limitSeconds: number, say: (text: string) => void) =>
  run(host, render(RESTART, key, limitSeconds), say);

/** Writes every Secret with `key`; resolves only when etcd has none that is written otherwise. */
export const rewriteSecrets = (host: NamedTarget, key: string, limitSeconds: number, say: (text: string) => void) =>
  run(host, render(REWRITE, key, limitSeconds), say);
