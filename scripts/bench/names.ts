import { interleaved, print } from './measure';
import { availableModes, CLIENT, MiniCluster, NODE, POD_ADDRESSES, PODS, serviceOf } from './miniCluster';

/** How long a pod waits for a name of the cluster, from CoreDNS through its Service and from the cache on its node. */

const LOOKUPS = 500;

/** As a program in a pod asks: A and AAAA at once, the search list included. Prints median and p99 in milliseconds. */
const LOOK_UP = `
import socket, sys, time
name, count, times = sys.argv[1], int(sys.argv[2]), []
for _ in range(count):
    begin = time.perf_counter()
    socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    times.append((time.perf_counter() - begin) * 1000)
times.sort()
print(times[len(times) // 2], times[min(int(len(times) * 0.99), len(times) - 1)])
`;
const NAME = 'kubernetes.default';

export async function benchNames(rounds: number, signal: AbortSignal): Promise<void> {
  const { mode } = availableModes()
    .filter(({ missing }) => missing === null)
    .at(-1)!;
  const cluster = await MiniCluster.start(signal);
  const { dns, domain } = cluster.plan;
  const cache = dns.nodeLocal!;
  try {
    const ports = (['UDP', 'TCP'] as const).map((protocol) => ({
      ...{ name: `dns-${protocol.toLowerCase()}`, port: 53, protocol, targetPort: 53 },
    }));
    cluster.create(serviceOf('kube-dns', dns.serviceAddress, ports, POD_ADDRESSES));
    await cluster.startProxy(mode);
    const coredns = cluster.program('coredns', 'coredns');
    // Its pods find the API by their service account; here it is told.
    const reached = dns.corefile.replace(/^( *)pods insecure$/m, `$1kubeconfig ${cluster.kubeconfig}\n$&`);
    cluster.spawn(PODS, 'coredns', [coredns, '-conf', cluster.file('Corefile', reached)]);
    cluster.run(NODE, ['ip', 'address', 'add', `${cache.address}/32`, 'dev', 'lo']);
    cluster.spawn(NODE, 'cache', [coredns, '-conf', cluster.file('Corefile.cache', cache.corefile)]);

    const lookUp = (server: string, count: number) => {
      cluster.resolvers(server, domain);
      const [median, p99] = cluster
        .run(CLIENT, ['python3', '-c', LOOK_UP, NAME, String(count)])
        .split(' ')
        .map(Number);
      return { median: median!, p99: p99! };
    };
    const ways = {
      [`CoreDNS through its Service (${mode})`]: dns.serviceAddress,
      'the cache on the node': cache.address,
    };
    for (const server of Object.values(ways)) await cluster.until('an answer', () => lookUp(server, 1).median > 0);
    const cases = Object.entries(ways).map(([name, server]) => {
      let last = { median: 0, p99: 0 };
      return {
        median: { name, run: () => (last = lookUp(server, LOOKUPS)).median },
        p99: { name: `${name}, p99`, run: () => last.p99 },
      };
    });
    const rows = await interleaved([...cases.map((one) => one.median), ...cases.map((one) => one.p99)], rounds, signal);
    print(`looking up ${NAME}, ${LOOKUPS} times in a row`, 'ms', rows.slice(0, cases.length));
    print('the same, the slowest of a hundred', 'ms', rows.slice(cases.length));
  } finally {
    await cluster.stop();
  }
}
