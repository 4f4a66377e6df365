import { parse } from 'yaml';
import type { CalicoPool } from '../../components/plan/calicoTypes';
import { networkChange, networkState, type NetworkState } from '../../components/plan/networkChange';
import { clusterSite } from './clusterSite';
import { planOf } from './site';

const stateOf = (network: object): NetworkState =>
  networkState(planOf(clusterSite({ network: { cni: 'calico', ...network }, more: { kubeProxy: { mode: 'ipvs' } } })));

const between = (before: object, after: object) => networkChange('oslo', stateOf(before), stateOf(after));

test('nothing changed, nothing to say', () => {
  expect(between({ routing: 'ipip' }, { routing: 'ipip' })).toEqual({ disruptive: [], refused: [] });
});

test('another routing: what breaks, which devices change at once, and what keeps its MTU', () => {
  expect(between({ routing: 'ipip' }, { routing: 'vxlan' }).disruptive).toEqual([
    'routing ipip becomes vxlan: connections between machines break while calico-node goes from one to the next, and machines of the old and the new routing may not reach the pods of each other until all have it',
    'tunl0 goes away on every machine',
    'vxlan.calico: MTU none yet becomes 1450 on every machine as soon as calico-node has it',
    'pods: MTU 1480 becomes 1450 for new pods alone; those that run keep 1480 until they are made anew: sitewright rollout mtu oslo',
  ]);
});

test('the same tunnel with another pod MTU', () => {
  expect(between({ routing: 'vxlan' }, { routing: 'vxlan', podMtu: 1400 }).disruptive).toEqual([
    'pods: MTU 1450 becomes 1400 for new pods alone; those that run keep 1450 until they are made anew: sitewright rollout mtu oslo',
  ]);
});

test('WireGuard is another tunnel', () => {
  expect(between({ routing: 'bgp' }, { routing: 'bgp', wireguard: true }).disruptive).toEqual([
    expect.stringMatching(/^routing bgp becomes bgp with WireGuard: /),
    'wireguard.cali: MTU none yet becomes 1440 on every machine as soon as calico-node has it',
    expect.stringMatching(/^pods: MTU 1500 becomes 1440 /),
  ]);
});

const pools = (...list: object[]) => ({ routing: 'bgp', calico: { pools: list } });

describe('pools', () => {
  const a = { name: 'a', cidr: '10.244.0.0/17' };
  const b = { name: 'b', cidr: '10.244.128.0/17' };

  test('what cannot change is refused; so is what goes away with addresses in use', () => {
    expect(between(pools(a), pools({ ...a, cidr: '10.244.128.0/17' }))).toEqual({
      disruptive: [],
      refused: [expect.stringMatching(/^pool a: cidr .* cannot be changed\. In two edits:\n/)],
    });
    expect(between(pools(a, b), pools(b)).refused).toEqual([
      expect.stringMatching(/^pool a \(10\.244\.0\.0\/17\) would go away while pods may have addresses of it/),
    ]);
  });

  test('the first pools of a site are no way to lose the default one', () => {
    expect(between({ routing: 'bgp' }, pools(a, b)).refused).toEqual([
      expect.stringMatching(/^pool default-ipv4-ippool \(10\.244\.0\.0\/16\) would go away/),
    ]);
  });

  test('a family that the pods lose takes its pool along', () => {
    const [v4, both] = [stateOf({ routing: 'bgp' }), stateOf({ routing: 'bgp' })];
    const v6 = { ...v4.pools[0], name: 'default-ipv6-ippool', family: 'ipv6' as const, cidr: 'fd00::/56' };
    both.pools.push(v6);
    expect(networkChange('oslo', both, v4)).toEqual({
      disruptive: [expect.stringMatching(/^pool default-ipv6-ippool \(fd00::\/56\) goes away: a pod that still has/)],
      refused: [],
    });
  });

  /** What a message says to write, written: the site file of each step passes, and so does the change to it. */
  test.each([
    ['a named pool', pools(a), pools({ ...a, blockSize: 28 }), 'a', {}, { ...b, blockSize: 28 }],
    [
      'the default pool',
      { routing: 'bgp' },
      { routing: 'bgp', podCidrs: ['10.245.0.0/16'] },
      'default-ipv4-ippool',
      { podCidrs: ['10.244.0.0/15'] },
      { name: 'pods', cidr: '10.245.0.0/16' },
    ],
  ])('%s: the steps of the message lead there', (_, start, wanted, old, widened, next) => {
    const { refused } = between(start, wanted);
    expect(refused).toHaveLength(1);
    const entry = parse(/\{name: .*?\}/.exec(refused[0])![0]) as { name: string; cidr: string; disabled: true };
    expect(entry).toMatchObject({ name: old, disabled: true });
    if ('podCidrs' in widened) expect(refused[0]).toContain(`(${widened.podCidrs[0]} has as much again)`);

    const moving = { ...pools(entry, next), ...widened };
    expect(between(start, moving)).toEqual({
      disruptive: [
        `pool ${old} (${entry.cidr}) is disabled: pods that have an address of it keep it until they are made anew`,
      ],
      refused: [],
    });
    const { objects } = planOf(
      clusterSite({ network: { cni: 'calico', ...moving }, more: { kubeProxy: { mode: 'ipvs' } } }),
    ).cluster!.calico!;
    const disabled = objects.filter(({ kind, spec }) => kind === 'IPPool' && (spec as { disabled?: true }).disabled);
    expect(disabled.map(({ metadata }) => metadata)).toEqual([{ name: old }]);

    expect(between(moving, { ...pools(next), ...widened })).toEqual({
      disruptive: [
        expect.stringMatching(`^pool ${old} .* goes away: a pod that still has an address of it loses its way`),
      ],
      refused: [],
    });
  });

  test("the operator changes them through Calico's own API server alone", () => {
    const operator = (pool: object, apiServer = false) => ({
      routing: 'bgp',
      calico: { install: 'operator', apiServer, pools: [pool] },
    });
    expect(between(operator(a), operator(a)).refused).toEqual([]);
    expect(between(operator(a), operator({ ...a, natOutgoing: false })).refused).toEqual([
      expect.stringMatching(/set network\.calico\.apiServer to true in the same edit$/),
    ]);
    expect(between(operator(a), operator({ ...a, natOutgoing: false }, true)).refused).toEqual([]);
  });

  test('what an earlier kit told of its pools is not another pool', () => {
    const operator = { routing: 'bgp', calico: { install: 'operator' } };
    const before = stateOf(operator);
    const told = { mtu: before.mtu, pools: before.pools.map(({ disabled: _, ...pool }) => pool as CalicoPool) };
    expect(networkChange('oslo', told, before)).toEqual({ disruptive: [], refused: [] });
  });
});

test('another way to install it is refused, with what it would do', () => {
  const installed = (install: string) => ({ routing: 'bgp', calico: { install } });
  const over = between(installed('manifest'), installed('operator'));
  expect(over.refused).toEqual([
    expect.stringMatching(
      /^network\.calico\.install: manifest cannot become operator on a site that runs: up would delete calico-node and the IPPools of the manifest.* build a site of its own/,
    ),
  ]);
  const back = between(installed('operator'), installed('manifest'));
  expect(back.refused).toEqual([expect.stringMatching(/no migration to the manifest\. Set it back to operator/)]);
});
