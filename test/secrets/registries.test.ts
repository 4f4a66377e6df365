import { parseRegistryPasswords, registryLogins, withoutPassword } from '../../components/secrets/registries';
import { checkRegistryPasswords, REGISTRY_PASSWORDS, registrySecrets } from '../../scripts/cli/registries';

const registry = (name: string, username: string | null) => ({ name, username, folder: '', hostsToml: '', ca: null });
const REGISTRIES = [registry('r.example:5000', 'puller'), registry('open.example', null)];
const passwords = { 'r.example:5000': 'correct horse' };
const config = (value: string) => ({ [REGISTRY_PASSWORDS]: { value, secret: true } });
const site = { site: 'oslo', cluster: { registries: REGISTRIES } } as unknown as Parameters<
  typeof checkRegistryPasswords
>[1];

test('kubelet gets the log-ins of those that have one, in the form of a Docker client', () => {
  expect(JSON.parse(registryLogins(REGISTRIES, passwords))).toEqual({
    auths: { 'r.example:5000': { auth: Buffer.from('puller:correct horse').toString('base64') } },
  });
  expect(registryLogins([REGISTRIES[1]], {})).toBe('');
});

test('a username without a password is told with the command that cures it, before anything runs', () => {
  expect(withoutPassword(REGISTRIES, {})).toEqual(['r.example:5000']);
  expect(() => checkRegistryPasswords({}, site)).toThrow(
    'the registry r.example:5000 of oslo has a username and no password: sitewright secrets set oslo registryPassword-r.example:5000',
  );
  expect(() => checkRegistryPasswords(config(JSON.stringify(passwords)), site)).not.toThrow();
});

test.each(['', 'correct horse', '["correct horse"]', '{"r": 1}'])('damaged passwords are not shown: %s', (text) => {
  expect(() => parseRegistryPasswords(text)).toThrow(/^the passwords of registries are damaged/);
  expect(registrySecrets(config(text), site)).toEqual([]);
});

test('neither a password nor what kubelet has of it is ever shown', () => {
  expect(registrySecrets(config(JSON.stringify(passwords)), site)).toEqual([
    'correct horse',
    Buffer.from('puller:correct horse').toString('base64'),
  ]);
});
