import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { SitePlan } from '../../components/plan';
import { labLayout } from '../lab/layout';
import { badInput } from './errors';

/** Set for the process that runs inside the lab's network namespace, so that it does not enter it again. */
const INSIDE = 'SITEWRIGHT_INSIDE_LAB';

/** Whether the machines of a site live in a lab of this machine, reachable from its network namespace only. */
export const livesInLab = (plan: SitePlan) => plan.machines.kvm?.image === 'lab';

/**
 * Repeats this command inside the lab's network namespace and ends with its exit code. Does nothing for a site that is
 * no lab, and inside. The lab of a site has the site's name.
 */
export async function enterLab(plan: SitePlan): Promise<void> {
  if (!livesInLab(plan) || process.env[INSIDE] === plan.site) return;
  const lab = labLayout(plan.site);
  if (!existsSync(`/run/netns/${lab.namespace}`)) {
    throw badInput(`the lab of ${plan.site} is not up on this machine: run ./scripts/up ${plan.site}`);
  }
  if (process.getuid?.() !== 0) throw badInput(`the lab of ${plan.site} belongs to root: run this command as root`);
  process.exit(
    await runInside(lab.namespace, {
      [INSIDE]: plan.site,
      LIBVIRT_DEFAULT_URI: lab.libvirtUri,
      PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`,
    }),
  );
}

function runInside(namespace: string, env: Record<string, string>): Promise<number> {
  const child = spawn(
    'ip',
    ['netns', 'exec', namespace, process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    { stdio: 'inherit', env: { ...process.env, ...env } },
  );
  // A signal to this process alone would leave the command running; one that both got counts once over there.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}
