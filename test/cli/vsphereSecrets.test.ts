import type { SitePlan } from '../../components/plan';
import type { VsphereSecret } from '../../components/vcenter/login';
import {
  checkedSession,
  checkVsphereSecrets,
  isSecretOfVsphere,
  setVsphereSecret,
  vsphereCredentials,
} from '../../scripts/cli/vsphereSecrets';

const planOf = (vsphere: object | null) => ({ site: 'oslo', machines: { vsphere } }) as unknown as SitePlan;
const plan = planOf({ server: 'vcenter.example' });
const SOAP = '52f4b1ce-soap-session-of-a-person';
const REST = 'b00d10cc0de0rest0session0of0them';

const configOf = (given: Partial<Record<VsphereSecret, string>>) =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [`sitewright:${name}`, { value, secret: true }]));

test('what is missing is told with the command that gives it', () => {
  expect(() => checkVsphereSecrets(plan, {})).toThrow(
    'oslo lacks vsphereUser for vcenter.example: sitewright secrets set oslo vsphereUser\n' +
      'oslo lacks vspherePassword for vcenter.example: sitewright secrets set oslo vspherePassword\n' +
      'or, in place of both, a session: { govc session.login -l; govc session.login -r -l; } | sitewright secrets set oslo vsphereSession --file /dev/stdin',
  );
  expect(() => checkVsphereSecrets(plan, configOf({ vsphereUser: 'x' }))).toThrow(
    /^oslo lacks vspherePassword for vcenter\.example: sitewright secrets set oslo vspherePassword$/,
  );
  checkVsphereSecrets(planOf(null), {});
});

test('a user with a password, or a session', () => {
  expect(vsphereCredentials(plan, configOf({ vsphereUser: 'ann', vspherePassword: 'x' }))).toEqual({
    user: 'ann',
    password: 'x',
  });
  expect(vsphereCredentials(plan, configOf({ vsphereSession: `${SOAP}\n${REST}` }))).toEqual({
    session: { soap: SOAP, rest: REST },
  });
});

test('both are refused, and so is a session that is none; nothing of them is shown', () => {
  const refusal = (given: Partial<Record<VsphereSecret, string>>) => {
    try {
      checkVsphereSecrets(plan, configOf(given));
    } catch (error) {
      return error as Error & { exitCode: number };
    }
    throw new Error('no refusal');
  };
  const both = refusal({ vsphereSession: `${SOAP} ${REST}`, vspherePassword: 'hunter2hunter2' });
  expect(both.exitCode).toBe(2);
  expect(both.message).toBe(
    'oslo has vsphereSession and also vspherePassword for vcenter.example, and only one of the two ways in can be meant: ' +
      'set that one again (sitewright secrets set oslo …), which removes the other',
  );
  const half = refusal({ vsphereSession: SOAP });
  expect(half.message).toMatch(/^vsphereSession of oslo is not a session: it is two words/);
  expect(half.message).not.toContain(SOAP);
});

test('what is given is kept in one form, and what is not a session is refused', () => {
  expect(checkedSession('oslo', `"${SOAP}"\n${REST}\n`)).toBe(`${SOAP}\n${REST}`);
  expect(checkedSession('oslo', `${SOAP} ${REST}`)).toBe(`${SOAP}\n${REST}`);
  for (const text of [
    SOAP,
    `${SOAP}\n${REST}\n${REST}`,
    `${SOAP}\nshort`,
    `${SOAP}; Path=/\n${REST}`,
    `${SOAP}\r\n\u0001${REST}`,
  ])
    expect(() => checkedSession('oslo', text)).toThrow('Nothing was changed');
});

test('secrets of a vCenter belong to a site that has one; other secrets are not its business', () => {
  expect(isSecretOfVsphere(plan, 'vsphereUser')).toBe(true);
  expect(isSecretOfVsphere(plan, 'vspherePassword')).toBe(true);
  expect(isSecretOfVsphere(plan, 'vsphereSession')).toBe(true);
  expect(isSecretOfVsphere(plan, 'bgpPassword-tor')).toBe(false);
  expect(() => isSecretOfVsphere(planOf(null), 'vsphereUser')).toThrow('oslo has no machines on vSphere');
});

test('one of the two ways in takes the place of the other', async () => {
  const calls: string[] = [];
  const stack = {
    setSecret: async (key: string) => void calls.push(`set ${key}`),
    removeConfig: async (key: string) => void calls.push(`remove ${key}`),
  };
  const given = configOf({ vsphereUser: 'ann', vspherePassword: 'x' });
  expect(await setVsphereSecret({ stack, config: given }, 'vsphereSession', 'a\nb')).toEqual([
    'vsphereUser',
    'vspherePassword',
  ]);
  expect(await setVsphereSecret({ stack, config: given }, 'vspherePassword', 'y')).toEqual([]);
  expect(calls).toEqual([
    'set sitewright:vsphereSession',
    'remove sitewright:vsphereUser',
    'remove sitewright:vspherePassword',
    'set sitewright:vspherePassword',
  ]);
});
