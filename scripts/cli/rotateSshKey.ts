import { generateSshKey, publicKeyOf } from '../../components/secrets/hostKey';
import { checkedClusterPki } from './clusterKeys';
import { printJson, type Context } from './context';
import { enterLab } from './lab';
import { refuseLocked } from './locks';
import { operate } from './operate';
import { openStack, SSH_PRIVATE_KEY } from './secrets';
import { openSiteAloud } from './site';
import type { SiteStack } from './stack';
import { clearPendingOperations } from './state';
import { keysOf, nodeTargets, onEach, otherTargets, runOn, type NamedTarget } from './targets';

/** The key that comes, while both are accepted, and the public half of the one that goes. A killed run goes on from them. */
const NEXT_KEY = 'sitewright:sshPrivateKeyNext';
const RETIRED_KEY = 'sitewright:sshPublicKeyRetired';

/** Two names of a site can be one host (a user on a hypervisor that is a machine too): one script at a time has its keys. */
const ALONE = `
set -eu
umask 077
mkdir -p ~/.ssh
exec 9< ~/.ssh
flock 9
file=$(readlink -f ~/.ssh/authorized_keys)
`;

/** Adds a line to the log-in user's authorized_keys unless it is there. */
const acceptKey = (line: string) => `${ALONE}
touch "$file"
grep -qxF '${line}' "$file" || printf '%s\\n' '${line}' >> "$file"
`;

/** Takes every line with this key away; the file is replaced whole, so that a cut connection leaves a usable one. */
const refuseKey = (publicKey: string) => `${ALONE}
grep -vF '${publicKey}' "$file" > "$file.new" || [ $? -eq 1 ]
mv "$file.new" "$file"
`;

/**
 * Replaces the SSH key of a site without a moment at which no key works: the new one is accepted beside the old one on
 * every host and tried, then stored, then the state records it by an `up`, and only then is the old one refused.
 */
export async function rotateSshKey(context: Context, site: string): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  await enterLab(plan);
  const { stack, config, secrets } = await openStack(context, plan, { create: false });
  refuseLocked(plan);
  checkedClusterPki(config, plan, new Date());
  await clearPendingOperations(stack);
  const old = keysOf(config, site);
  if ((await stack.resourceCount()) === 0) return replaceUnusedKey(context, site, stack);
  const hosts = (keys: typeof old): NamedTarget[] => [...otherTargets(plan, keys), ...nodeTargets(plan, keys)];

  let next = config[NEXT_KEY]?.value;
  let retired = config[RETIRED_KEY]?.value;
  if (retired === undefined) {
    if (next === undefined) {
      next = generateSshKey(`sitewright ${site}`).privateKey;
      await stack.setSecret(NEXT_KEY, next);
    }
    secrets.push(next);
    const line = `${publicKeyOf(next)} sitewright ${site}`;
    context.say('the new key is added beside the old one');
    await onEach(hosts(old), ({ target }) => runOn(target, acceptKey(line)));
    await onEach(hosts({ ...old, sshPrivateKey: next }), ({ target }) => runOn(target, 'true'));
    retired = publicKeyOf(old.sshPrivateKey);
    await stack.setPlain(RETIRED_KEY, retired);
  }
  if (next !== undefined) {
    await stack.setSecret(SSH_PRIVATE_KEY, next);
    await stack.removeConfig(NEXT_KEY);
  }
  const current = { ...old, sshPrivateKey: next ?? old.sshPrivateKey };

  context.say('the state records the new key');
  await operate(context, stack, {
    site,
    nodes: plan.nodes.map((node) => node.name),
    verb: 'up',
    secrets,
    run: (running, operation) => running.up(operation),
    next: [`Both keys are accepted until it has succeeded: run sitewright secrets rotate ${site} ssh-key again.`],
  });
  await onEach(hosts(current), ({ target }) => runOn(target, refuseKey(retired)));
  await stack.removeConfig(RETIRED_KEY);
  const publicKey = publicKeyOf(current.sshPrivateKey);
  if (context.json) printJson(context, { site, rotated: 'ssh-key', publicKey });
  else context.out(`the SSH key of ${site} is now ${publicKey}\nCommit stacks/Pulumi.${site}.yaml.`);
}

/** Nothing is built, so nothing has recorded the key; whether a machine accepts it already is for its owner to say. */
async function replaceUnusedKey(context: Context, site: string, stack: SiteStack): Promise<void> {
  const { privateKey } = generateSshKey(`sitewright ${site}`);
  await stack.setSecret(SSH_PRIVATE_KEY, privateKey);
  const publicKey = publicKeyOf(privateKey);
  if (context.json) printJson(context, { site, rotated: 'ssh-key', publicKey });
  else
    context.out(
      `the SSH key of ${site}, which is not built yet, is now ${publicKey}\nMachines that are there must accept it.`,
    );
}
