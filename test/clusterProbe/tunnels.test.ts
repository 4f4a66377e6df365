import { renderClusterProbe } from '../../components/clusterProbe';
import type { CalicoFacts, CalicoNodeFacts } from '../../components/clusterProbe/calicoFacts';
import { judgeCluster } from '../../components/clusterProbe/judge';
import { tunnelWays, type TunnelFacts } from '../../components/clusterProbe/tunnels';
import { facts, request } from './fixtures';

/** Packets as large as a pod's between machines, for sites on which nothing can be probed from pods. */

const subnets = { one: 'rack1', two: 'rack1', three: 'rack2' };
const end = (...addresses: string[]): CalicoNodeFacts => ({
  ...{ devices: { tunl0: 1480 }, addresses: { tunl0: addresses } },
  ...{ links: [], routes: [], wireguardPeers: null, bgpSessions: null },
});
const nodes: CalicoFacts['nodes'] = {
  one: end('10.244.1.0'),
  two: end('10.244.2.0'),
  three: end('10.244.3.0'),
};
const own = { one: ['192.0.2.11'], two: ['192.0.2.12'], three: ['198.51.100.13'] };
const ways = (encapsulation: Parameters<typeof tunnelWays>[0]['encapsulation'], found = nodes) =>
  tunnelWays({ encapsulation, subnets, families: ['ipv4'] }, found, own).map(
    ({ from, to, device, address }) => `${from} ${to} ${device ?? '-'} ${address}`,
  );

test('each machine asks the end of every other, through what wraps packets between these two', () => {
  expect(ways({ sameSubnet: 'none', crossSubnet: 'ipip' })).toEqual([
    'one two - 192.0.2.12',
    'one three tunl0 10.244.3.0',
    'two one - 192.0.2.11',
    'two three tunl0 10.244.3.0',
    'three one tunl0 10.244.1.0',
    'three two tunl0 10.244.2.0',
  ]);
  // A machine that cannot be asked, and one without an address of its own, have no end that is known.
  const some = { ...nodes, two: { error: 'nobody listens' }, three: end() };
  expect(ways({ sameSubnet: 'ipip', crossSubnet: 'ipip' }, some)).toEqual([
    'two one tunl0 10.244.1.0',
    'three one tunl0 10.244.1.0',
  ]);
});

const way = { from: 'one', to: 'three', family: 'ipv4', device: 'tunl0', wantedBytes: 1480 } as const;
const found = (tunnels: TunnelFacts[]) => ({ ...facts(), pods: { skipped: 'no image' }, tunnels });
const judged = (tunnels: TunnelFacts[], warn: string[] = []) =>
  judgeCluster(found(tunnels), request({ warn }))
    .filter(({ probe }) => probe === 'pod-mtu')
    .map(({ severity, where, message }) => `${severity} ${where}: ${message}`);

test('a full packet that does not pass is an error, and none at all is told', () => {
  expect(judged([{ ...way, largestBytes: 1480 }])).toEqual([]);
  const short = 'one -> three: ipv4: 1480 does not pass through tunl0, 1460 does: something between them adds 20 bytes';
  expect(judged([{ ...way, largestBytes: 1460 }])).toEqual([expect.stringContaining(`error ${short}`)]);
  expect(judged([{ ...way, largestBytes: 1460 }], ['pod-mtu'])).toEqual([expect.stringContaining(`warn ${short}`)]);
  expect(judged([{ ...way, device: null, largestBytes: null }])).toEqual([
    'info one -> three: ipv4: no echo request is answered between the machines: the packet size of pods is not proved on this way',
  ]);
});

test('the table', () => {
  const words = renderClusterProbe({ facts: found([{ ...way, largestBytes: 1480 }]), findings: [] }, { color: false })
    .split('\n')
    .map((line) => line.trim().replace(/ {2,}/g, ' | '));
  expect(words).toContain('one | three | ipv4 | tunl0 | 1480 ok');
});
