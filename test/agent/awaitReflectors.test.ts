import { runRequest } from '../../components/agent/request';
import { SshSession, type SshTarget } from '../../components/ssh/session';

const target = (host: string): SshTarget => ({ host, port: 22, user: 'ops', privateKey: 'x', hostKey: 'x' });
const ADDRESSES = { rr: ['192.0.2.11'], one: ['192.0.2.12'], two: ['192.0.2.13'] };

/** Answers of each node, one after another; the last one stays. */
function birds(answers: Record<string, (string | null)[]>) {
  const ended: string[] = [];
  jest.spyOn(SshSession, 'connect').mockImplementation(async ({ host }: SshTarget) => {
    const exec = async (command: string) => {
      expect(command).toMatch(
        /^exec sudo -n python3 - '\{"devices":\[\],"wireguard":\[\],"birds":\["\/var\/run\/calico\/bird.ctl",/,
      );
      const [first, ...rest] = answers[host]!;
      if (rest.length > 0) answers[host] = rest;
      return { code: 0, stdout: JSON.stringify({ birds: first }), stderr: '' };
    };
    return { exec, end: () => ended.push(host) } as unknown as SshSession;
  });
  return ended;
}
const sessions = (...of: [address: string, state: string][]) =>
  of
    .map(([address, state]) => `1002-Node BGP\n   BGP state:          ${state}\n     Neighbor address: ${address}\n`)
    .join('');
const [RR, ONE, TWO] = Object.values(ADDRESSES).map(([address]) => address!);
const asReflector = sessions([ONE!, 'Established'], [TWO!, 'Established']);
const reached = sessions([RR!, 'Established']);

const ask = (limitSeconds: number, onProgress?: (step: string) => void) =>
  runRequest(
    {
      kind: 'await-reflectors',
      name: 'oslo',
      nodes: Object.keys(ADDRESSES).map((name) => ({ name, target: target(name) })),
      bgp: { addresses: ADDRESSES, reflectors: ['rr'], routers: [] },
      limitSeconds,
    },
    { onProgress },
  );

afterEach(() => jest.restoreAllMocks());

test('it waits for the session of every member with every reflector, and for no other', async () => {
  const started = sessions([RR!, 'Active'], [ONE!, 'Established']);
  const ended = birds({ rr: [asReflector], one: [reached], two: [null, started, reached] });
  const steps: string[] = [];
  expect(await ask(600, (step) => steps.push(step))).toEqual({ kind: 'reflectors' });
  expect(steps).toEqual([
    expect.stringMatching(/^1 BGP sessions .* not there yet: two: no BIRD runs on it/),
    expect.stringMatching(/^1 BGP sessions .* not there yet: two: the BGP session with rr \(192\.0\.2\.11\) is Active/),
  ]);
  expect(ended).toHaveLength(9);
});

test('at the limit every session that is missing is told, and the mesh stays', async () => {
  birds({ rr: [sessions([ONE!, 'Established'])], one: [reached], two: [sessions([RR!, 'Connect'])] });
  await expect(ask(0)).rejects.toThrow(
    /^the mesh of BGP sessions stays: after 0 s [^]*\nrr: BIRD has no session with two \(192\.0\.2\.13\)\ntwo: the BGP session with rr \(192\.0\.2\.11\) is Connect/,
  );
});
