import * as pulumi from '@pulumi/pulumi';
import { LENT_SESSION, lendSession } from '../../components/vcenter/lend';
import { sessionText } from '../../components/vcenter/login';
import { planned } from '../../scripts/render/vsphere';
import { withVsphere } from '../../stacks/vsphere';
import { controlPlane, kvmSite, planOf } from '../plan/site';
import { endSoap, makeSession } from './madeSession';
import { CREDENTIALS, startSimulator, thumbprintOf, type Simulator } from './simulator';

/** What the program of a site does before it registers anything: it looks, or it ends with all that does not fit. */

let simulator: Simulator;
let thumbprint: string;
beforeAll(async () => {
  simulator = await startSimulator();
  thumbprint = await thumbprintOf(simulator);
});
afterAll(() => simulator?.end());

function site(vsphere: Record<string, unknown> = {}) {
  const settings = {
    server: simulator.server,
    thumbprint,
    firmware: 'bios',
    template: { name: 'DC0_H0_VM0' },
    placements: [{ name: 'main', datacenter: 'DC0', cluster: 'DC0_C0', datastore: 'LocalDS_0' }],
    networks: [{ name: 'nodes', portGroup: 'DC0_DVPG0', subnets: ['s1'] }],
    ...vsphere,
  };
  return planOf(kvmSite([controlPlane], { provider: 'vsphere', vsphere: settings }));
}

const secretsOf = ({ user, password }: typeof CREDENTIALS) => {
  pulumi.runtime.setAllConfig({ 'sitewright:vsphereUser': user, 'sitewright:vspherePassword': password });
  return new pulumi.Config('sitewright');
};
const refusal = (plan: ReturnType<typeof site>, config = secretsOf(CREDENTIALS)) =>
  withVsphere(plan, config, () => planned).then(
    () => 'no refusal',
    (error: Error) => {
      expect(error).toBeInstanceOf(pulumi.RunError);
      return error.message;
    },
  );

test('a vCenter that has everything: the program gets it with its secrets', async () => {
  const access = await withVsphere(site(), secretsOf(CREDENTIALS), () => planned);
  expect(access!.ids.networks.nodes!.DC0).toMatch(/^dvportgroup-/);
  expect(await pulumi.isSecret(access!.password as pulumi.Output<string>)).toBe(true);
});

test('names that are not there: one message, and the words that nothing was changed', async () => {
  const message = await refusal(site({ template: { name: 'DC0_H0_VM9' }, networks: [network('DC0_DVPG9')] }));
  expect(message.split('\n')).toEqual([
    expect.stringMatching(/no port group DC0_DVPG9 in DC0; did you mean DC0_DVPG0\?/),
    expect.stringMatching(/no template or machine DC0_H0_VM9; did you mean DC0_H0_VM0\?/),
    'Nothing was changed.',
  ]);
});
const network = (portGroup: string) => ({ name: 'nodes', portGroup, subnets: ['s1'] });

test('a user that is not let in, and a certificate that nobody vouches for', async () => {
  expect(await refusal(site(), secretsOf({ user: 'ann', password: '' }))).toMatch(
    /it does not let ann in: .*\nNothing was changed\.$/,
  );
  expect(await refusal(site({ thumbprint: undefined }))).toMatch(
    /certificate is not trusted .*\nNothing was changed\.$/,
  );
});

test('a session in place of a user: the program looks with it, and the plugin gets neither of the two', async () => {
  const trust = { server: simulator.server, caFile: null, thumbprint };
  const session = await makeSession(trust);
  pulumi.runtime.setAllConfig({ 'sitewright:vsphereSession': sessionText(session) });
  const config = new pulumi.Config('sitewright');
  expect(await refusal(site(), config)).toMatch(/: no session was lent: .*\nNothing was changed\.$/);
  const lending = await lendSession(trust, session);
  try {
    process.env[LENT_SESSION] = lending.env[LENT_SESSION];
    const access = await withVsphere(site(), config, () => planned);
    expect(access).toMatchObject({ user: null, password: null });
    expect(access!.ids.networks.nodes!.DC0).toMatch(/^dvportgroup-/);
    await endSoap(trust, session);
    expect(await refusal(site(), config)).toMatch(/it does not know the session .*\nNothing was changed\.$/);
  } finally {
    delete process.env[LENT_SESSION];
    lending.end();
  }
});

test('neither a user nor a session, or both', async () => {
  pulumi.runtime.setAllConfig({});
  expect(await refusal(site(), new pulumi.Config('sitewright'))).toMatch(
    /^oslo lacks vsphereUser .*\noslo lacks vspherePassword .*\nor, in place of both, a session: .*\nNothing was changed\.$/,
  );
  pulumi.runtime.setAllConfig({ 'sitewright:vsphereSession': 'a', 'sitewright:vsphereUser': 'ann' });
  expect(await refusal(site(), new pulumi.Config('sitewright'))).toMatch(
    /^oslo has vsphereSession and also vsphereUser .*\nNothing was changed\.$/,
  );
});

test('a site of other machines has none', async () => {
  expect(await withVsphere(planOf(kvmSite([controlPlane])), secretsOf(CREDENTIALS))).toBeNull();
});
