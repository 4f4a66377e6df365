import { randomBytes, randomUUID } from 'node:crypto';
import { wantedArtifacts } from '../../components/bundle/contents';
import { agreedBundle } from '../../components/bundle/find';
import { LOCK_SCHEMA_VERSION, type BundleArtifact } from '../../components/bundle/lock';
import { instanceId } from '../../components/machines/instanceId';
import type { SitePlan } from '../../components/plan';
import { caCertHash, mintPki, type ClusterPki } from '../../components/secrets/pki';
import { snapshotKey } from '../../components/secrets/etcdSnapshot';
import { deriveHostKey, generateSshKey, publicKeyOf } from '../../components/secrets/hostKey';
import type { SiteCluster } from '../../components/site';
import { INGRESS_KEY } from '../../components/secrets/ingressKey';
import { BGP_PASSWORD } from '../cli/bgpPasswords';
import { CLUSTER_PKI } from '../cli/clusterKeys';
import { REGISTRY_PASSWORDS } from '../cli/registries';
import { HOST_KEY_SEED, SSH_PRIVATE_KEY } from '../cli/secrets';
import { mark } from './redact';

/** A site whose secrets and whose machine nobody has: what stands in for them, and the mark that a reader sees of each. */
export interface MadeUp {
  /** Of the stack; every value is a secret. */
  config: Record<string, string>;
  /** Identity of the state. */
  stampId: string;
  /** Made-up text and what is shown in place of it. */
  marks: Map<string, string>;
}

let pki: Promise<ClusterPki> | undefined;

/**
 * Made anew in every process: equal documents of two runs prove that nothing of a secret, however encoded, is in them. The
 * real ones are not read.
 */
export async function makeUp(plan: SitePlan): Promise<MadeUp> {
  const sshPrivateKey = generateSshKey('').privateKey;
  const hostKeySeed = randomBytes(32).toString('base64');
  const stampId = randomUUID();
  const config: Record<string, string> = { [SSH_PRIVATE_KEY]: sshPrivateKey, [HOST_KEY_SEED]: hostKeySeed };
  const marks = new Map<string, string>([
    [sshPrivateKey.trim(), mark('SSH private key')],
    [publicKeyOf(sshPrivateKey), '[SSH public key of the site]'],
    [hostKeySeed, mark('host-key seed')],
    [stampId, '[identity of the state]'],
  ]);
  for (const { name } of plan.nodes) {
    const { privateKey, publicKey } = deriveHostKey(hostKeySeed, name);
    marks.set(privateKey.trim(), mark(`SSH host key of ${name}`));
    marks.set(publicKey, `[SSH host key of ${name}]`);
    marks.set(instanceId(plan.site, name, stampId), `[instance id of ${name}]`);
  }
  if (plan.cluster !== null) {
    // An RSA key takes its time, and no two sites meet in one document.
    const keys = await (pki ??= mintPki('rendered', new Date()));
    config[CLUSTER_PKI] = JSON.stringify(keys);
    for (const [text, shown] of pkiMarks(keys)) marks.set(text, shown);
    marks.set(snapshotKey(hostKeySeed).publicKeyPem.trim(), '[public key of snapshots of etcd]');

    const logins = plan.cluster.registries.filter(({ username }) => username !== null);
    const passwords = Object.fromEntries(logins.map(({ name }) => [name, randomBytes(32).toString('hex')]));
    config[REGISTRY_PASSWORDS] = JSON.stringify(passwords);
    for (const { name, username } of logins) {
      const login = Buffer.from(`${username}:${passwords[name]}`).toString('base64');
      marks.set(login, mark(`log-in of ${username} at ${name}`));
    }
    if ((plan.cluster.ingress?.certificate ?? null) !== null)
      config[`sitewright:${INGRESS_KEY}`] = randomBytes(32).toString('hex');
    for (const { passwordFrom } of plan.cluster.calico?.bgp?.peers ?? [])
      if (passwordFrom !== null) config[`sitewright:${BGP_PASSWORD}${passwordFrom}`] = randomBytes(32).toString('hex');
  }
  return { config, stampId, marks };
}

function pkiMarks(keys: ClusterPki): [string, string][] {
  const { ca, etcdCa, frontProxyCa, admin, serviceAccount, encryptionKeys } = keys;
  const credentials = {
    Kubernetes: ca,
    etcd: etcdCa,
    'the front proxy': frontProxyCa,
    'the kit as administrator': admin,
  };
  return [
    ...Object.entries(credentials).flatMap(([of, { certificate, privateKey }]): [string, string][] => [
      [certificate.trim(), `[certificate of ${of}]`],
      [privateKey.trim(), mark(`key of ${of}`)],
    ]),
    [serviceAccount.publicKey.trim(), '[public key of service accounts]'],
    [serviceAccount.privateKey.trim(), mark('key of service accounts')],
    ...encryptionKeys.map(({ name, secret }): [string, string] => [secret, mark(`encryption key ${name}`)]),
    [caCertHash(ca.certificate), '[hash of the certificate of Kubernetes]'],
  ];
}

/** In place of a checksum that only a build knows. */
const UNKNOWN_SHA256 = '[sha256-of-the-build]';

/**
 * The bundle as far as the repository knows it: by the lock of the team where there is one, otherwise what the plan wants.
 * Whether it is on this machine plays no part.
 */
export async function plannedBundle(plan: SitePlan, stacksDir: string): Promise<SiteCluster['bundle'] | null> {
  if (plan.cluster === null) return null;
  const { bundle } = plan.cluster;
  const isoSha256 = '[sha256-of-the-disk-of-the-bundle]';
  const agreed = bundle.from === 'upstream' ? await agreedBundle(stacksDir, plan.site, bundle) : null;
  if (agreed !== null) return { ...agreed, isoSha256, folder: null };
  const artifacts = wantedArtifacts(bundle).map((wanted): BundleArtifact => ({
    ...wanted,
    source: '',
    sha256: UNKNOWN_SHA256,
    sizeBytes: 0,
    licence: '',
  }));
  const lock = { schemaVersion: LOCK_SCHEMA_VERSION, name: bundle.name, from: bundle.from, artifacts } as const;
  return { id: `not-built-${bundle.name}`, isoSha256, folder: null, lock };
}

/** Names for what only the machine of a lab knows. */
export async function plannedLab(plan: SitePlan): Promise<{ plan: SitePlan; limitFactor: number }> {
  const { kvm } = plan.machines;
  if (kvm?.image !== 'lab') return { plan, limitFactor: 1 };
  const of = (what: string) => ({ path: `${what}-of-the-lab`, sha256: `${what}-of-the-lab` });
  const [disk, kernel, initrd] = [of('root-disk'), of('kernel'), of('initrd')];
  const image = {
    ...disk,
    url: null,
    format: 'qcow2' as const,
    kernel: {
      ...kernel,
      initrd: initrd.path,
      initrdSha256: initrd.sha256,
      arguments: 'kernel-arguments-of-the-lab',
    },
  };
  return { plan: { ...plan, machines: { ...plan.machines, kvm: { ...kvm, image } } }, limitFactor: 1 };
}
