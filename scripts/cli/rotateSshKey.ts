import { generateSshKey, publicKeyOf } from '../../components/secrets/hostKey';
import { printJson, type Context } from './context';
import { failed } from './errors';
import { enterLab } from './lab';
import { operate } from './operate';
import { openStack, SSH_PRIVATE_KEY } from './secrets';
import { openSiteAloud } from './site';
import { keysOf, nodeTargets, onEach, otherTargets, runOn, type NamedTarget } from './targets';

/** The key that comes, while both are accepted, and the public half of the one that goes. A killed run goes on from them. */
const NEXT_KEY = 'sitewright:sshPrivateKeyNext';
const RETIRED_KEY = 'sitewright:sshPublicKeyRetired';

/** Adds a line to the log-in user's authorized_keys unless it is there. */
const acceptKey = (line: string) => `
set -eu
umask 077
mkdir -p ~/.ssh
touch ~/.ssh/authorized_keys
grep -qxF '${line}' ~/.ssh/authorized_keys || printf '%s\\n' '${line}' >> ~/.ssh/authorized_keys
`;

/** Takes every line with this key away; the file is replaced whole, so that a cut connection leaves a usable one. */
const refuseKey = (publicKey: string) => `
set -eu
umask 077
file=~/.ssh/authorized_keys
grep -vF '${publicKey}' "$file" > "$file.new" || [ $? -eq 1 ]
cat "$file.new" > "$file"
rm "$file.new"
`;

/**
 * Replaces the SSH key of a site without a moment at which no key works: the new one is accepted beside the old one on
 * every host and tried, then stored, then the state records it by an `up`, and only then is the old one refused.
 */
export async function rotateSshKey(context: Context, site: string): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  await enterLab(plan);
  const { stack, config, secrets } = await openStack(context, plan, { create: false });
  const old = keysOf(config, site);
  const hosts = (keys: typeof old): NamedTarget[] => [...otherTargets(plan, keys), ...nodeTargets(plan, keys)];

  let current = old;
  let retired = config[RETIRED_KEY]?.value;
  if (retired === undefined) {
    const comment = `sitewright ${site}`;
    const next = { ...old, sshPrivateKey: config[NEXT_KEY]?.value ?? generateSshKey(comment).privateKey };
    if (config[NEXT_KEY] === undefined) await stack.setSecret(NEXT_KEY, next.sshPrivateKey);
    secrets.push(next.sshPrivateKey);
    context.say('the new key is added beside the old one');
    await onEach(hosts(old), ({ target }) => runOn(target, acceptKey(`${publicKeyOf(next.sshPrivateKey)} ${comment}`)));
    await onEach(hosts(next), ({ target }) => runOn(target, 'true'));
    retired = publicKeyOf(old.sshPrivateKey);
    await stack.setPlain(RETIRED_KEY, retired);
    await stack.setSecret(SSH_PRIVATE_KEY, next.sshPrivateKey);
    current = next;
  }
  // Also where an earlier run was killed between storing the key and forgetting it as the next one.
  if (config[SSH_PRIVATE_KEY].value !== current.sshPrivateKey || config[NEXT_KEY] !== undefined) {
    await stack.removeConfig(NEXT_KEY);
  }
  if (publicKeyOf(current.sshPrivateKey) === retired) throw failed(`${site}: the key to retire is the one in use`);

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
