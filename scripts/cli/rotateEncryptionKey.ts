import { encryptionKeyNames, nextRotationStage, rotationStage, type ClusterPki } from '../../components/secrets/pki';
import { checkedClusterPki, storePki } from './clusterKeys';
import { printJson, type Context } from './context';
import { badInput } from './errors';
import { enterLab } from './lab';
import { refuseLocked } from './locks';
import { operate } from './operate';
import { openStack } from './secrets';
import { rewriteSecrets, takeOverKeys } from './secretsAtRest';
import { openSiteAloud } from './site';
import { clearPendingOperations } from './state';
import { controlPlaneTargets, keysOf } from './targets';
import { limitFactorOf } from './verify';

const LIMIT_SECONDS = 900;

/**
 * Replaces the key of Secrets at rest in the order that Kubernetes documents: the new key is known to every API server before
 * one of them writes with it, and the old one goes when nothing in etcd is written with it. The stage is in the order of the
 * keys that the site's secrets hold, so that a run goes on wherever the one before ended.
 */
export async function rotateEncryptionKey(context: Context, site: string): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  await enterLab(plan);
  const open = await openStack(context, plan, { create: false });
  refuseLocked(plan);
  let pki = checkedClusterPki(open.config, plan, new Date());
  if (pki === null) throw badInput(`${site} has no cluster: its site file names no kubernetes.version`);
  await clearPendingOperations(open.stack);
  const members = controlPlaneTargets(plan, keysOf(open.config, site));
  const limitSeconds = Math.round(LIMIT_SECONDS * (await limitFactorOf(plan)));

  const store = async (next: ClusterPki) => {
    await storePki(open, next);
    pki = next;
  };
  /** Every API server runs with the keys as they are stored. */
  const apply = async (what: string) => {
    context.say(what);
    await operate(context, open.stack, {
      site,
      nodes: plan.nodes.map(({ name }) => name),
      verb: 'up',
      secrets: open.secrets,
      run: (running, operation) => running.up(operation),
      next: [`The rotation goes on from here: run sitewright secrets rotate ${site} encryption-key again.`],
    });
    // One after another: the API stays.
    for (const host of members) await takeOverKeys(host, pki!.encryptionKeys[0]!.name, limitSeconds, context.say);
  };

  if (rotationStage(pki) === 'none') await store(nextRotationStage(pki));
  if (rotationStage(pki) === 'added') {
    await apply('every API server gets the new key beside the old one');
    await store(nextRotationStage(pki));
  }
  await apply('every API server writes with the new key');
  const fresh = encryptionKeyNames(pki)[0]!;
  await rewriteSecrets(members[0]!, fresh, limitSeconds, context.say);
  await store(nextRotationStage(pki));
  await apply('every API server forgets the old key');

  if (context.json) return printJson(context, { site, rotated: 'encryption-key', key: fresh });
  context.out(
    `Secrets of ${site} are encrypted with ${fresh}. Commit stacks/Pulumi.${site}.yaml.\n` +
      `Snapshots of etcd from before need the old key, which is in older versions of that file: take a new one now (sitewright etcd snapshot ${site}).`,
  );
}
