import type { SitePlan } from '../../components/plan';
import { checkVsphereSecrets, vsphereSecretKey } from '../../scripts/cli/vsphereSecrets';

const planOf = (vsphere: object | null) => ({ site: 'oslo', machines: { vsphere } }) as unknown as SitePlan;
const plan = planOf({ server: 'vcenter.example' });

test('what is missing is told with the command that gives it', () => {
  expect(() => checkVsphereSecrets(plan, {})).toThrow(
    'oslo lacks vsphereUser for vcenter.example: sitewright secrets set oslo vsphereUser\n' +
      'oslo lacks vspherePassword for vcenter.example: sitewright secrets set oslo vspherePassword',
  );
  const given = { value: 'x', secret: true };
  checkVsphereSecrets(plan, { 'sitewright:vsphereUser': given, 'sitewright:vspherePassword': given });
  checkVsphereSecrets(planOf(null), {});
});

test('user and password have their keys where the site has a vCenter; other secrets are not its business', () => {
  expect(vsphereSecretKey(plan, 'vsphereUser')).toBe('sitewright:vsphereUser');
  expect(vsphereSecretKey(plan, 'vspherePassword')).toBe('sitewright:vspherePassword');
  expect(vsphereSecretKey(plan, 'bgpPassword-tor')).toBeNull();
  expect(() => vsphereSecretKey(planOf(null), 'vsphereUser')).toThrow('oslo has no machines on vSphere');
});
