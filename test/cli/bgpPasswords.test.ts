import type { SitePlan } from '../../components/plan';
import { checkBgpPasswords, checkPassword, givenSecretKey } from '../../scripts/cli/bgpPasswords';

const peer = (name: string, passwordFrom: string | null) => ({ name, passwordFrom });
const plan = {
  site: 'oslo',
  cluster: { calico: { bgp: { peers: [peer('tor1', 'tor'), peer('tor2', 'tor'), peer('core', null)] } } },
} as unknown as SitePlan;

test('a password that is missing is told with the peers and the command that gives it', () => {
  expect(() => checkBgpPasswords(plan, {})).toThrow(
    'oslo lacks the password tor of its BGP peer tor1, tor2: sitewright secrets set oslo bgpPassword-tor',
  );
  checkBgpPasswords(plan, { 'sitewright:bgpPassword-tor': { value: 'x', secret: true } });
  checkBgpPasswords({ site: 'oslo', cluster: null } as SitePlan, {});
});

test('only what the site file asks for can be given', () => {
  expect(givenSecretKey(plan, 'bgpPassword-tor')).toBe('sitewright:bgpPassword-tor');
  expect(() => givenSecretKey(plan, 'sshPrivateKey')).toThrow('sshPrivateKey: allowed: bgpPassword-tor');
  expect(() => givenSecretKey({ site: 'oslo', cluster: null } as SitePlan, 'bgpPassword-tor')).toThrow(
    'bgpPassword-tor: the site file of oslo asks for no secret (passwordFrom)',
  );
});

test('what no router takes is refused, and not repeated', () => {
  checkPassword('s'.repeat(80));
  for (const value of ['', 'two words', 's'.repeat(81)]) {
    expect(() => checkPassword(value)).toThrow(/^a password of BGP has 1 to 80 characters/);
  }
});
