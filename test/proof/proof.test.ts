import * as pulumi from '@pulumi/pulumi';
import type { Machine } from '../../components/machines/machine';
import type { NodePlan, PairPlan, ProofPlan } from '../../components/plan/types';

interface Seen {
  name: string;
  type: string;
  inputs: Record<string, string>;
}
const seen: Seen[] = [];

pulumi.runtime.setMocks({
  newResource: ({ name, type, inputs }) => {
    seen.push({ name, type, inputs });
    return { id: name, state: { ...inputs, stdout: JSON.stringify({ facts: { name }, findings: [] }) } };
  },
  call: ({ inputs }) => inputs,
});

const pair = (a: string, b: string, round: number): PairPlan => ({
  a,
  b,
  round,
  sameSubnet: true,
  sameHost: false,
  addresses: [{ family: 'ipv4', a: '192.0.2.1', b: '192.0.2.2' }],
  underlayMtuBytes: 1500,
  encapsulation: 'none',
  podMtuBytes: 1500,
  podFamilies: ['ipv4'],
});

const names = ['a', 'b', 'c'];
const plan: ProofPlan = {
  pairs: [pair('a', 'b', 0), pair('a', 'c', 1), pair('b', 'c', 2)],
  sample: null,
  ports: [],
  peers: [],
  names: [],
  dnsServers: [],
  ntpServers: [],
  warn: [],
  thresholds: {
    lossPercent: 0,
    jitterMilliseconds: 5,
    etcdFsyncP99Milliseconds: 10,
    controlPlaneRoundTripMilliseconds: 10,
    cpuStealPercent: 5,
    clockOffsetMilliseconds: 500,
    lookupMilliseconds: 1000,
  },
};
const nodes = names.map((name) => ({ name, role: 'worker', addresses: ['192.0.2.1/24'] }) as unknown as NodePlan);

async function register(
  proof: ProofPlan,
  incarnation = '1',
): Promise<{ stdins: Record<string, string>; results: unknown }> {
  seen.length = 0;
  const { Proof } = await import('../../components/proof/proof');
  const machines = names.map((name): Machine => {
    const ready = new pulumi.ComponentResource('test:ready', name);
    return {
      name,
      role: 'worker',
      addresses: ['192.0.2.1/24'],
      nicDriver: null,
      disks: { root: null, etcd: null },
      bundle: null,
      bundleReady: ready,
      connection: { host: '192.0.2.1', port: 22, user: 'root', privateKey: pulumi.secret('planted'), hostKey: 'key' },
      ready,
      owner: null,
      incarnation: name === 'a' ? incarnation : '1',
    };
  });
  const made = new Proof('oslo-proof', { plan: { proof, nodes }, machines, after: [] });
  const results = await new Promise((resolve) => made.results.apply(resolve));
  const commands = seen.filter(({ type }) => type === 'command:local:Command');
  const stdin = (value: unknown) => (typeof value === 'string' ? value : (value as { value: string }).value);
  return { stdins: Object.fromEntries(commands.map(({ name, inputs }) => [name, stdin(inputs.stdin)])), results };
}

test('one command per node and pair, and their results in the order of the plan', async () => {
  const { stdins, results } = await register(plan);
  const expected = ['node-a', 'node-b', 'node-c', 'pair-a-b', 'pair-a-c', 'pair-b-c'].map((end) => `oslo-proof-${end}`);
  expect(Object.keys(stdins).sort()).toEqual(expected);
  expect((results as { facts: { name: string } }[]).map(({ facts }) => facts.name)).toEqual(expected);
  expect(JSON.parse(stdins['oslo-proof-pair-a-b']!)).toMatchObject({
    kind: 'prove-pair',
    a: { name: 'a', target: { privateKey: 'planted' } },
  });
});

test('a request changes with what it measures and with nothing else', async () => {
  const before = (await register(plan)).stdins;
  const renumbered = { ...plan, sample: 'other', pairs: plan.pairs.map((one) => ({ ...one, round: one.round + 1 })) };
  expect((await register(renumbered)).stdins).toEqual(before);

  const differ = (after: Record<string, string>) => Object.keys(before).filter((name) => before[name] !== after[name]);
  const madeAnew = (await register(plan, '2')).stdins;
  expect(differ(madeAnew).sort()).toEqual(['node-a', 'pair-a-b', 'pair-a-c'].map((end) => `oslo-proof-${end}`));

  const thresholds = { ...plan.thresholds, cpuStealPercent: 6 };
  const after = (await register({ ...plan, thresholds })).stdins;
  expect(differ(after).sort()).toEqual(['oslo-proof-node-a', 'oslo-proof-node-b', 'oslo-proof-node-c']);
});
