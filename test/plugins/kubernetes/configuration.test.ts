import { checkConfiguration, diffConfiguration, settingsOf } from '../../../scripts/plugins/kubernetes/configuration';
import { isSecret, unknown, type Values } from '../../../scripts/plugins/values';

function kubeconfig(server = 'https://a:6443', namespace?: string): string {
  return JSON.stringify({
    'current-context': 'x',
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace } }],
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user: { token: 'T' } }],
  });
}

const properties = (inputs: Values) => checkConfiguration(inputs).failures.map((failure) => failure.property);

test('the settings as the SDK sends them, and the kubeconfig as a secret', () => {
  const given = { kubeconfig: kubeconfig(), enableConfigMapMutable: 'true', clusterIdentifier: 'oslo' };
  const { inputs, failures } = checkConfiguration(given);
  expect(failures).toEqual([]);
  expect(isSecret(inputs.kubeconfig)).toBe(true);
  expect(settingsOf(inputs)).toMatchObject({ enableConfigMapMutable: true, enableSecretMutable: false });
  // Where a file lies is no secret.
  expect(checkConfiguration({ kubeconfig: '/etc/none' }).inputs.kubeconfig).toBe('/etc/none');
});

test('every setting that is unknown here, refused or not well-formed is named', () => {
  expect(
    properties({
      context: 5,
      enableSecretMutable: 'maybe',
      enableServerSideApply: 'false',
      renderYamlToDirectory: '/tmp',
      kubeClientSettings: '{"qps":5}',
      colour: 'red',
    }).sort(),
  ).toEqual([
    'colour',
    'context',
    'enableSecretMutable',
    'enableServerSideApply',
    'kubeClientSettings',
    'kubeconfig',
    'renderYamlToDirectory',
  ]);
  expect(properties({ kubeconfig: kubeconfig(), enableServerSideApply: 'true', alwaysRender: 'false' })).toEqual([]);
  expect(properties({ kubeconfig: unknown, namespace: unknown })).toEqual([]);
  expect(properties({ kubeconfig: kubeconfig(), context: 'none' })).toEqual(['kubeconfig']);
});

test('the namespace of the provider, of the context, or default', () => {
  const of = (inputs: Values) => settingsOf(inputs).namespace;
  expect(of({ kubeconfig: kubeconfig('https://a', 'apps'), namespace: 'mine' })).toBe('mine');
  expect(of({ kubeconfig: kubeconfig('https://a', 'apps') })).toBe('apps');
  expect(of({ kubeconfig: kubeconfig() })).toBe('default');
});

const before: Values = { kubeconfig: kubeconfig(), clusterIdentifier: 'oslo' };
test.each<[string, Values, Values, { changed: string[]; replaces: string[] }]>([
  ['nothing changed', before, before, { changed: [], replaces: [] }],
  ['a kubeconfig not known yet', before, { ...before, kubeconfig: unknown }, { changed: ['kubeconfig'], replaces: [] }],
  [
    'another server, the same identifier',
    before,
    { ...before, kubeconfig: kubeconfig('https://b') },
    { changed: ['kubeconfig'], replaces: [] },
  ],
  [
    'another identifier',
    before,
    { ...before, clusterIdentifier: 'bergen' },
    { changed: ['clusterIdentifier'], replaces: ['clusterIdentifier'] },
  ],
  [
    'an identifier for the first time',
    { kubeconfig: kubeconfig() },
    before,
    { changed: ['clusterIdentifier'], replaces: [] },
  ],
  [
    'no identifier, another server',
    { kubeconfig: kubeconfig() },
    { kubeconfig: kubeconfig('https://b') },
    { changed: ['kubeconfig'], replaces: ['kubeconfig'] },
  ],
  [
    'no identifier, a kubeconfig not known yet',
    { kubeconfig: kubeconfig() },
    { kubeconfig: unknown },
    { changed: ['kubeconfig'], replaces: ['kubeconfig'] },
  ],
])('a changed configuration: %s', (_, old, now, expected) => {
  expect(diffConfiguration(old, now)).toEqual(expected);
});
