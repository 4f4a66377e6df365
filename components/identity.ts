import * as command from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';

/**
 * The identity of a state: made once, kept in the state, stamped on every machine. A second state of the same site has
 * another one, so it can never build the site again on machines that exist.
 *
 * `adopted` is the identity that `sitewright adopt` read from the machines of a lost state; null for every other site.
 * The previous output comes back through the environment, so that an edit of `adopted` never makes a new identity.
 */
export function stateIdentity(
  name: string,
  adopted: string | null,
  opts: pulumi.CustomResourceOptions,
): pulumi.Output<string> {
  const script = [
    'if [ -n "$ADOPTED" ]; then echo "$ADOPTED"',
    'elif [ -n "$PULUMI_COMMAND_STDOUT" ]; then echo "$PULUMI_COMMAND_STDOUT"',
    'else cat /proc/sys/kernel/random/uuid; fi',
  ].join('; ');
  const identity = new command.local.Command(
    `${name}-identity`,
    { create: script, environment: { ADOPTED: adopted ?? '' }, addPreviousOutputInEnv: true, logging: 'none' },
    opts,
  );
  return identity.stdout;
}
