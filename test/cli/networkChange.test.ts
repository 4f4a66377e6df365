import { networkState } from '../../components/plan/networkChange';
import { CliError } from '../../scripts/cli/errors';
import { tellNetworkChange } from '../../scripts/cli/networkChange';
import { clusterSite } from '../plan/clusterSite';
import { planOf } from '../plan/site';

const planned = (network: object) =>
  planOf(
    clusterSite({ network: { cni: 'calico', routing: 'bgp', ...network }, more: { kubeProxy: { mode: 'ipvs' } } }),
  );

/** What is said on the way from one site file to another, the first of which was built. */
async function told(before: object | null, after: object): Promise<string[]> {
  const said: string[] = [];
  const outputs = () => Promise.resolve(before === null ? {} : { ...networkState(planned(before)) });
  await tellNetworkChange({ say: (line) => void said.push(line) }, planned(after), { outputs });
  return said;
}

test('a site that was never built changes nothing', async () => {
  expect(await told(null, { calico: { install: 'operator' } })).toEqual([]);
});

test('what is disruptive is told, what pods would lose is refused before anything changes', async () => {
  expect(await told({}, { wireguard: true })).toContainEqual(expect.stringMatching(/^DISRUPTIVE routing bgp becomes/));
  const ended = await told(
    {},
    { calico: { install: 'operator', pools: [{ name: 'a', cidr: '10.244.0.0/17' }] } },
  ).catch((error: unknown) => error as CliError);
  expect(ended).toBeInstanceOf(CliError);
  const { message } = ended as CliError;
  expect(message).toMatch(/: nothing was changed\.\nnetwork\.calico\.install: manifest cannot become operator/);
  expect(message).toMatch(/^pool default-ipv4-ippool \(10\.244\.0\.0\/16\) would go away/m);
});

test('another name or port of the API is refused on a site that runs, another address of its name is not', async () => {
  const at = (kubernetes: object) =>
    planOf(clusterSite({ more: { kubernetes: { version: '1.36.1', ...kubernetes } } }));
  const change = (before: object, after: object) =>
    tellNetworkChange({ say: () => undefined }, at(after), {
      outputs: () => Promise.resolve({ ...networkState(at(before)) }),
    });
  const refusal = /^oslo: nothing was changed\.\nkubernetes\.endpoint: \S+ cannot become \S+ on a site that runs/;
  const balancer = { endpoint: { host: 'lb.example', port: 6443 } };
  const address = (host: string, port = 6443) => ({ endpoint: { host, port } });
  await expect(change(address('192.0.2.50'), balancer)).rejects.toThrow(refusal);
  await expect(change(balancer, address('192.0.2.50'))).rejects.toThrow(refusal);
  await expect(change(address('192.0.2.50'), address('192.0.2.50', 443))).rejects.toThrow(refusal);
  await expect(change(address('192.0.2.50'), address('192.0.2.51'))).resolves.toBeUndefined();
  await expect(change(balancer, balancer)).resolves.toBeUndefined();
});
