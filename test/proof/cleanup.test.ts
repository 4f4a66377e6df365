import { execFileSync, spawn } from 'node:child_process';
import * as path from 'node:path';
import { coordinatePair } from '../../components/proof/coordinatePair';
import type { PairRequest } from '../../components/proof/facts';
import { NodeProbe } from '../../components/proof/nodeProbe';
import { AGENT, agentEnvironment } from '../agent/start';
import { startNetwork, type TestNetwork } from './network';

let net: TestNetwork;
beforeAll(async () => {
  net = await startNetwork();
  for (const { namespace } of [net.a, net.b]) net.run(namespace, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
});
afterAll(() => net?.stop());

/** Without encapsulation: the kind that leaves most on the node itself, a device, a route and a raised MTU. */
function request(): PairRequest {
  return {
    kind: 'prove-pair',
    pair: {
      a: 'one',
      b: 'two',
      sameSubnet: true,
      sameHost: false,
      addresses: [{ family: 'ipv4', a: net.a.address, b: net.b.address }],
      underlayMtuBytes: 1500,
      encapsulation: 'none',
      podMtuBytes: 1500,
      podFamilies: ['ipv4'],
    },
    a: { name: 'one', role: 'worker', target: net.a.target },
    b: { name: 'two', role: 'worker', target: net.b.target },
    ports: [],
    thresholds: { lossPercent: 100, jitterMilliseconds: 1000, controlPlaneRoundTripMilliseconds: 1000 },
    warn: [],
  };
}

const inventories = () => [net.a.inventory(), net.b.inventory()];
const mtu = () => /eth0\S*: .* mtu (\d+)/.exec(net.a.inventory())?.[1];

async function until(what: string, condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !condition();) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('a kill of the engine side in the middle of a probe leaves nothing on the nodes', async () => {
  const before = inventories();
  const agent = spawn(
    process.execPath,
    ['-r', AGENT, '-e', `require(${JSON.stringify(path.resolve('components/agent/main.ts'))}).main()`],
    {
      env: agentEnvironment(),
      stdio: ['pipe', 'ignore', 'pipe'],
    },
  );
  agent.stdin.end(JSON.stringify(request()));
  let steps = '';
  agent.stderr.on('data', (data) => (steps += data));
  await until('one byte more', () => steps.includes('one byte more') && mtu() === '1501');
  expect(inventories()).not.toEqual(before);
  agent.kill('SIGKILL');
  await until('clean nodes', () => JSON.stringify(inventories()) === JSON.stringify(before));
});

test('a cancelled probe is cleaned up before it rejects', async () => {
  const before = inventories();
  const cancel = new AbortController();
  const run = coordinatePair(request(), {
    signal: cancel.signal,
    onProgress: (step) => step.includes('one byte more') && setTimeout(() => cancel.abort(new Error('cancelled')), 300),
  });
  await expect(run).rejects.toThrow('cancelled');
  expect(inventories()).toEqual(before);
});

test('what is left when the guardian is killed too is swept by the next start, and a live run is not', async () => {
  const before = net.a.inventory();
  const dead = await NodeProbe.start('one', net.a.target);
  await dead.call('nic_raise', { device: 'eth0', bytes: 1501 });
  const [guardian, worker] = execFileSync('pgrep', ['-f', `python3 -u - ${dead.run}`], { encoding: 'utf8' })
    .trim()
    .split('\n');
  // The worker is stopped first so that it cannot outlive its guardian by a moment.
  for (const pid of [worker, guardian]) process.kill(Number(pid), 'SIGKILL');
  await dead.stop();
  expect(mtu()).toBe('1501');

  const live = await NodeProbe.start('one', net.a.target);
  expect(live.swept).toEqual([`/run/swp-${dead.run}`]);
  expect(mtu()).toBe('1500');
  const other = await NodeProbe.start('one', net.a.target);
  expect(other.swept).toEqual([]);
  expect(await live.call('clock')).toHaveProperty('secondsSinceEpoch');
  await Promise.all([live.stop(), other.stop()]);
  expect(net.a.inventory()).toBe(before);
});
