import { KUBELET_CLIENT } from '../../components/cluster/node/kubeletClient';
import { LOCAL_API_READY } from '../../components/cluster/node/localApi';
import { commonValues, KUBEADM_FILE, render } from '../../components/cluster/nodeScripts';
import { bash } from '../../components/nodes/bash';
import { AS_ROOT } from '../../components/nodes/prep/asRoot';
import { CERTIFICATES } from '../../components/nodes/prep/certificates';
import { runScript } from '../../components/ssh/script';
import { SshSession } from '../../components/ssh/session';
import { failed } from './errors';
import { runOn, type NamedTarget } from './targets';

/** One certificate on a machine of the cluster. */
export interface NodeCertificate {
  /** kubeadm's name, such as apiserver or admin.conf; kubelet.conf for the one of kubelet, which kubeadm leaves out. */
  name: string;
  /** Null: it is not there, or cannot be read. */
  expires: Date | null;
}

/** What a member of the cluster has. */
export interface NodeCertificates {
  role: 'control-plane' | 'worker';
  certificates: NodeCertificate[];
}

/**
 * Without a kubeconfig kubeadm takes its defaults in place of what the API says: the files are where it puts them by
 * default, and a cluster whose certificates have expired has no API to ask.
 */
const CHECK = `${AS_ROOT}${CERTIFICATES}
[ -e /etc/kubernetes/admin.conf ] || [ -e /etc/kubernetes/kubelet.conf ] || { echo null; exit 0; }
kubeadm=null kubelet=
if [ -e /etc/kubernetes/admin.conf ]; then
  kubeadm=$(timeout 60 kubeadm certs check-expiration --kubeconfig /nonexistent -o json) || exit
fi
[ ! -s /etc/kubernetes/kubelet.conf ] || kubelet=$(client_certificate /etc/kubernetes/kubelet.conf 2>/dev/null | openssl x509 -noout -enddate 2>/dev/null)
printf '{"kubeadm": %s, "kubelet": "%s"}\\n' "$kubeadm" "\${kubelet#notAfter=}"
`;

/** Null where the machine is no member of a cluster yet. Certificates that a machine does not have are left out. */
export async function readNodeCertificates({ target }: NamedTarget): Promise<NodeCertificates | null> {
  return parseExpirations(await runOn(target, CHECK));
}

interface Expirations {
  /** kubeadm's CertificateExpirationInfo (output.kubeadm.k8s.io); null: a worker. */
  kubeadm: { certificates: { name: string; expirationDate: string; missing: boolean }[] } | null;
  /** As openssl writes a time; empty: there is no certificate. */
  kubelet: string;
}

export function parseExpirations(json: string): NodeCertificates | null {
  let found: Expirations | null;
  try {
    found = JSON.parse(json) as Expirations | null;
  } catch {
    throw failed(`kubeadm certs check-expiration gave no JSON: ${json.slice(0, 200)}`);
  }
  if (found === null) return null;
  const { kubeadm, kubelet } = found;
  return {
    role: kubeadm === null ? 'worker' : 'control-plane',
    certificates: [
      ...(kubeadm?.certificates ?? [])
        .filter(({ missing }) => !missing)
        .map(({ name, expirationDate }) => ({ name, expires: new Date(expirationDate) })),
      { name: 'kubelet.conf', expires: kubelet === '' ? null : new Date(kubelet) },
    ],
  };
}

/**
 * All of a machine's certificates anew, from the authorities there. Of the configuration that the kit left, because the API
 * that kubeadm would ask for it may be down by then: it decides what keys are made. Then kubelet, which has to run to start
 * what is stopped, and the static pods one after another, because the controller manager and the scheduler read theirs at
 * their start only.
 */
const RENEW = bash`
main() {
  local part
  lock 600
  step 'renews the certificates'
  kubeadm certs renew all --config "$KUBEADM_FILE" >&2 || refuse 'kubeadm certs renew all failed'
  kubelet_client_renew
  for part in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    [ -e "/etc/kubernetes/manifests/$part.yaml" ] || continue
    restart_static_pod "$part" "$(running "$part")"
  done
}
`;

/** The API of this machine: the next one must not lose its own before. */
const AWAIT_API = bash`
main() {
  step 'waits for the API of this machine'
  wait_until "$LIMIT_SECONDS" 'the API of this machine is ready' local_api_ready ||
    refuse "the API of this machine is not ready: not within $LIMIT_SECONDS seconds; see crictl ps -a and journalctl -u kubelet"
}
`;

export interface RenewalOptions {
  /** For one container to come back, and for the API. */
  limitSeconds: number;
  say(text: string): void;
}

const renewOn = (host: NamedTarget, opts: RenewalOptions) => run(host, [CERTIFICATES, KUBELET_CLIENT, RENEW], opts);
const awaitApiOn = (host: NamedTarget, opts: RenewalOptions) => run(host, [LOCAL_API_READY, AWAIT_API], opts);

async function run({ name, target }: NamedTarget, libraries: string[], opts: RenewalOptions): Promise<void> {
  const values = commonValues({ node: name, limitSeconds: opts.limitSeconds });
  const script = render(`Certificates of ${name}.`, [...values, ['KUBEADM_FILE', KUBEADM_FILE]], libraries);
  const session = await SshSession.connect(target);
  try {
    await runScript(session, script, { name, onProgress: opts.say });
  } finally {
    session.end();
  }
}

/**
 * Renews on every control-plane machine, one after another: the next one only when the API of this one is ready again.
 * Those with an expired certificate come first, and are waited for when all of them are started: they serve nobody, and the
 * etcd of one waits for that of another. Throws ScriptError where it does not end well.
 */
export async function renewEverywhere(
  machines: { host: NamedTarget; certificates: NodeCertificate[] }[],
  now: Date,
  opts: RenewalOptions,
): Promise<void> {
  const down = machines.filter(({ certificates }) => certificates.some((one) => hasExpired(one, now)));
  for (const { host } of down) await renewOn(host, opts);
  for (const { host } of down) await awaitApiOn(host, opts);
  for (const { host } of machines.filter((one) => !down.includes(one))) {
    await renewOn(host, opts);
    await awaitApiOn(host, opts);
  }
}

/** One that cannot be read is of no more use. */
export const hasExpired = ({ expires }: NodeCertificate, now: Date) => expires === null || expires <= now;
