import { computePlan, planJson } from '../../components/plan';
import { siteSchema } from '../../components/spec';
import { interleaved, print, seconds } from './measure';

/** A site of `count` machines on one /16: what a site file of that size holds. */
export function siteOfMachines(count: number, name = 'bench') {
  return {
    name,
    kit: '*',
    environment: 'staging',
    underlay: { subnets: [{ name: 'nodes', cidrs: ['172.16.0.0/16'], gateways: ['172.16.255.254'] }] },
    machines: {
      provider: 'existing',
      nodes: Array.from({ length: count }, (_, index) => ({
        name: `node${index + 1}`,
        role: index < 3 ? 'control-plane' : 'worker',
        addresses: [`172.16.${Math.floor(index / 200)}.${(index % 200) + 1}/16`],
        ssh: { hostKey: `ssh-ed25519 ${'A'.repeat(68)}` },
      })),
    },
    network: { podCidrs: ['10.128.0.0/12'], serviceCidrs: ['10.96.0.0/12'] },
  };
}

function planOf(input: unknown): string {
  const { plan, findings } = computePlan(siteSchema.parse(input), '0.1.0');
  if (plan === null) throw new Error(findings.map((finding) => finding.message).join('\n'));
  return planJson(plan);
}

/** From the parsed site file to the bytes of the plan, at growing numbers of machines. */
export async function benchPlan(rounds: number, signal: AbortSignal): Promise<void> {
  const inputs = [10, 100, 1000].map((count) => ({ count, input: siteOfMachines(count) }));
  // Not counted: what the first run of any code costs is no part of how the plan grows.
  for (const { input } of inputs) planOf(input);
  const rows = await interleaved(
    inputs.map(({ count, input }) => ({ name: `${count} nodes`, run: () => seconds(() => planOf(input)) })),
    rounds,
    signal,
  );
  print('validate and plan', 's', rows);
}
