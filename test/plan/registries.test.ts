import { execFileSync } from 'node:child_process';
import type { RegistryPlan } from '../../components/plan';
import { clusterSite, smallCluster } from './clusterSite';
import { findingsOf, planOf, siteOf } from './site';

const openssl = (...args: string[]) => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '/dev/null'];
const AUTHORITY = openssl('req', '-x509', ...KEY, '-subj', '/CN=acme');
const LEAF = openssl('req', '-x509', ...KEY, '-subj', '/CN=acme', '-addext', 'basicConstraints=critical,CA:FALSE');

const registriesOf = (...registries: object[]): RegistryPlan[] =>
  planOf(smallCluster({ more: { registries } })).cluster!.registries;

test('a registry is asked itself, with its authority', () => {
  const [{ hostsToml, ca, folder, username }] = registriesOf({
    name: 'registry.acme.example:5000',
    ca: `\n${AUTHORITY}`,
    username: 'puller',
  });
  expect(folder).toBe('/etc/containerd/certs.d/registry.acme.example:5000');
  expect(hostsToml).toBe(`# Made by sitewright. Edits are undone by the next preparation of this node.
server = "https://registry.acme.example:5000"
capabilities = ["pull", "resolve"]
ca = "/etc/containerd/certs.d/registry.acme.example:5000/ca.crt"

[host."https://registry.acme.example:5000"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/certs.d/registry.acme.example:5000/ca.crt"
`);
  expect({ ca, username }).toEqual({ ca: AUTHORITY, username: 'puller' });
});

test('mirrors are asked in their order and nobody else; a path is given whole', () => {
  const mirrors = ['https://one.example', 'https://two.example:8443/v2/hub', 'https://three.example'];
  expect(registriesOf({ name: 'docker.io', mirrors })[0].hostsToml)
    .toBe(`# Made by sitewright. Edits are undone by the next preparation of this node.
server = "https://three.example"
capabilities = ["pull", "resolve"]

[host."https://one.example"]
  capabilities = ["pull", "resolve"]

[host."https://two.example:8443/v2/hub"]
  capabilities = ["pull", "resolve"]
  override_path = true

[host."https://three.example"]
  capabilities = ["pull", "resolve"]
`);
  expect(registriesOf({ name: 'docker.io' })[0].hostsToml).toContain('server = "https://registry-1.docker.io"\n');
});

test.each([
  ['nothing', 'what is no certificate'],
  [`${AUTHORITY}and more`, 'what is no certificate'],
  [LEAF, 'a certificate that is no authority'],
  [AUTHORITY.replace(/\n[^-]+\n/, '\nAAAA\n'), 'a certificate that cannot be read'],
  ['-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----', 'a private key'],
])('an authority that is none is refused without showing it (%#)', (ca, said) => {
  const findings = findingsOf(smallCluster({ more: { registries: [{ name: 'r.example', ca }] } }));
  expect(findings).toEqual([expect.stringMatching(`^error registries.0.ca: it holds ${said}`)]);
  expect(findings[0]).not.toContain('AAAA');
});

test('one registry, one entry', () => {
  const findings = findingsOf(clusterSite({ more: { registries: [{ name: 'r.example' }, { name: 'r.example' }] } }));
  expect(findings).toEqual(['error registries.1.name: r.example is there twice: make one entry of both']);
});

test('without a cluster nobody pulls, and who wrote it is told', () => {
  const findings = findingsOf(siteOf('v4', 1, { registries: [{ name: 'r.example' }] }));
  expect(findings).toContainEqual(expect.stringMatching(/^warning registries: registries has no effect/));
});
