import { networkChange, type NetworkState } from '../../components/plan/networkChange';
import { clusterSite } from './clusterSite';
import { planOf } from './site';

function stateOf(network: object): NetworkState {
  const { mtu, cluster } = planOf(
    clusterSite({ network: { cni: 'calico', ...network }, more: { kubeProxy: { mode: 'ipvs' } } }),
  );
  return { mtu, pools: cluster!.calico!.pools };
}

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

test('pools: what cannot change is refused, what goes away is said', () => {
  const pools = (...list: [name: string, cidr: string][]) => ({
    routing: 'bgp',
    calico: { pools: list.map(([name, cidr]) => ({ name, cidr })) },
  });
  const changed = between(pools(['a', '10.244.0.0/17']), pools(['a', '10.244.128.0/17']));
  expect(changed).toEqual({ disruptive: [], refused: [expect.stringMatching(/^pool a: cidr .* cannot be changed/)] });
  const gone = between(pools(['a', '10.244.0.0/17'], ['b', '10.244.128.0/17']), pools(['b', '10.244.128.0/17']));
  expect(gone).toEqual({
    disruptive: [expect.stringMatching(/^pool a \(10\.244\.0\.0\/17\) goes away: pods that have an address of it/)],
    refused: [],
  });
});
