import { bash } from '../../components/nodes/bash';
import { AS_ROOT } from '../../components/nodes/prep/asRoot';
import { CORE } from '../../components/nodes/prep/core';
import { CRI_SOCKET } from '../../components/plan/clusterPaths';
import { runScript } from '../../components/ssh/script';
import { SshSession } from '../../components/ssh/session';
import { failed } from './errors';
import { runOn, type NamedTarget } from './targets';

/** One certificate that kubeadm keeps on a control-plane machine. */
export interface NodeCertificate {
  /** kubeadm's name, such as apiserver or admin.conf. */
  name: string;
  expires: Date;
}

/**
 * Without a kubeconfig kubeadm takes its defaults in place of what the API says: the files are where it puts them by
 * default, and a cluster whose certificates have expired has no API to ask.
 */
const CHECK = `${AS_ROOT}
[ -e /etc/kubernetes/admin.conf ] || { echo null; exit 0; }
exec timeout 60 kubeadm certs check-expiration --kubeconfig /nonexistent -o json
`;

/** Null where the machine is no control plane yet. Certificates that a machine does not have are left out. */
export async function readNodeCertificates({ target }: NamedTarget): Promise<NodeCertificate[] | null> {
  return parseExpirations(await runOn(target, CHECK));
}

interface ExpirationInfo {
  certificates: { name: string; expirationDate: string; missing: boolean }[];
}

/** Reads kubeadm's CertificateExpirationInfo (output.kubeadm.k8s.io). */
export function parseExpirations(json: string): NodeCertificate[] | null {
  let info: ExpirationInfo | null;
  try {
    info = JSON.parse(json) as ExpirationInfo | null;
  } catch {
    throw failed(`kubeadm certs check-expiration gave no JSON: ${json.slice(0, 200)}`);
  }
  if (info === null) return null;
  return info.certificates
    .filter(({ missing }) => !missing)
    .map(({ name, expirationDate }) => ({ name, expires: new Date(expirationDate) }));
}

/**
 * All of a machine's certificates anew, from the authorities there, then its static pods one after another, because the
 * controller manager and the scheduler read theirs at their start only. Ends when the API of this machine is ready: the
 * next machine must not lose its own before.
 */
const renewScript = (limitSeconds: number) => `${AS_ROOT}
LIMIT_SECONDS=${limitSeconds}
CRI_SOCKET=${CRI_SOCKET}
${CORE}${RENEW}`;

const RENEW = bash`
cri() { timeout 60 crictl --runtime-endpoint "$CRI_SOCKET" "$@"; }
running() { cri ps --quiet --state running --name "^$1\$"; }

# until_true WHAT COMMAND...: waits for a condition.
until_true() {
  local what=$1 deadline=$((SECONDS + LIMIT_SECONDS))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || refuse "$what: not within $LIMIT_SECONDS seconds; see crictl ps -a and journalctl -u kubelet"
    sleep 2
  done
}
runs_anew() {
  local id
  id=$(running "$1") && [ -n "$id" ] && [ "$id" != "$2" ]
}
api_ready() { timeout 30 kubectl --kubeconfig /etc/kubernetes/admin.conf --server "$SERVER" get --raw /readyz >/dev/null 2>&1; }

# The API of this machine, and not the one that the cluster's name leads to.
api_of_this_machine() {
  local line
  while read -r line; do
    case $line in server:*) printf '%s' "\${line#server: }" && return ;; esac
  done </etc/kubernetes/scheduler.conf
  refuse '/etc/kubernetes/scheduler.conf names no server'
}

main() {
  local part old
  lock 600
  SERVER=$(api_of_this_machine)
  step 'renews the certificates'
  kubeadm certs renew all --kubeconfig /etc/kubernetes/admin.conf >&2 || refuse 'kubeadm certs renew all failed'
  for part in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    [ -e "/etc/kubernetes/manifests/$part.yaml" ] || continue
    step "restarts $part"
    old=$(running "$part")
    [ -z "$old" ] || cri stop --timeout 30 "$old" >/dev/null || refuse "$part could not be stopped"
    until_true "$part runs again" runs_anew "$part" "$old"
  done
  step 'waits for the API of this machine'
  until_true 'the API of this machine is ready' api_ready
}
main
`;

/** Renews on one machine; tells its steps. Throws ScriptError when it does not end well. */
export async function renewOn(
  { name, target }: NamedTarget,
  limitSeconds: number,
  say: (text: string) => void,
): Promise<void> {
  const session = await SshSession.connect(target);
  try {
    await runScript(session, renewScript(limitSeconds), { name, onProgress: say });
  } finally {
    session.end();
  }
}
