import type { KubeDocument } from '../../components/plan/clusterTypes';
import { interleaved, print, type Case } from './measure';
import { availableModes, CLIENT, MiniCluster, POD_ADDRESSES, PODS, serviceOf } from './miniCluster';

/** How long a connection takes to be set up through kube-proxy's rules, in each mode, with one Service and with many. */

const MANY = 200;
const CONNECTIONS = 2000;
const POD_PORT = 8000;
const PORT = 80;

const SERVE = `
import socket
made = socket.socket()
made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
made.bind(('0.0.0.0', ${POD_PORT}))
made.listen(1024)
while True:
    made.accept()[0].close()
`;

/** Arguments: port, number of connections, addresses; each address in turn. Prints the median in microseconds. */
const CONNECT = `
import socket, struct, sys, time
port, count, addresses = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
times = []
for index in range(count):
    made = socket.socket()
    made.settimeout(20)
    # Closed by a reset: what has waited for its end would use up the ports of later runs.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    begin = time.perf_counter()
    made.connect((addresses[index % len(addresses)], port))
    times.append(time.perf_counter() - begin)
    made.close()
print(sorted(times)[len(times) // 2] * 1e6)
`;

const addressOf = (index: number) => `10.96.1.${index + 1}`;
const service = (index: number): KubeDocument[] => {
  const ports = [{ name: '', port: PORT, protocol: 'TCP' as const, targetPort: POD_PORT }];
  const labels = { bench: index === 0 ? 'first' : 'more' };
  return serviceOf(`service-${index}`, addressOf(index), ports, POD_ADDRESSES, labels);
};

export async function benchServices(rounds: number, signal: AbortSignal): Promise<void> {
  const modes = availableModes();
  for (const { mode, missing } of modes) {
    if (missing !== null) console.error(`services: mode ${mode} is not measured here: ${missing}`);
  }
  const cluster = await MiniCluster.start(signal);
  try {
    cluster.spawn(PODS, 'pods', ['python3', '-c', SERVE]);
    const connect = (port: number, count: number, addresses: string[]) =>
      Number(cluster.run(CLIENT, ['python3', '-c', CONNECT, String(port), String(count), ...addresses]));
    await cluster.until('the pods', () => connect(POD_PORT, 2, POD_ADDRESSES) > 0);
    cluster.create(service(0));
    const all = Array.from({ length: MANY }, (_, index) => addressOf(index));
    const through = async (addresses: string[]) => {
      await cluster.until('the rules', () => connect(PORT, addresses.length, addresses) > 0);
      return connect(PORT, CONNECTIONS, addresses);
    };

    const cases: Case[] = modes
      .filter(({ missing }) => missing === null)
      .flatMap(({ mode }) => [
        {
          name: `${mode}, 1 Service`,
          run: async () => {
            await cluster.startProxy(mode);
            return through(all.slice(0, 1));
          },
        },
        {
          name: `${mode}, ${MANY} Services`,
          run: async () => {
            cluster.create(Array.from({ length: MANY - 1 }, (_, index) => service(index + 1)).flat());
            const figure = await through(all);
            await cluster.stopProxy();
            for (const kind of [
              'api/v1/namespaces/default/services',
              'apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
            ]) {
              cluster.kubectl(['delete', '--raw', `/${kind}?labelSelector=bench%3Dmore`]);
            }
            return figure;
          },
        },
      ]);
    const straight = { name: 'straight to the pod', run: () => connect(POD_PORT, CONNECTIONS, POD_ADDRESSES) };
    const rows = await interleaved([straight, ...cases], rounds, signal);
    print(`setting up a TCP connection, median of ${CONNECTIONS}`, 'µs', rows);
  } finally {
    await cluster.stop();
  }
}
