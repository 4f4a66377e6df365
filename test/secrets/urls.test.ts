import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { siteKeys, type KeySchema } from '../../components/spec/describe';
import { TestKit, type Run } from '../cli/kit';
import { repoRoot } from '../site/sites';
import { readableSecrets } from '../support/plantedSecrets';

/** A site file keeps no secrets, but a URL in it can have one: nothing that a command says has it. */
const planted = {
  'password of the backend': 'planted-pw-of-the-backend',
  'parameter of the backend': 'planted/parameter+of-the-backend',
  'password of the image': 'planted-pw-of-the-image',
};
const parameter = encodeURIComponent(planted['parameter of the backend']);
const URLS = {
  'backend.url': `postgres://ann:${planted['password of the backend']}@db.example.test/x?sslpassword=${parameter}`,
  'machines.kvm.image.url': `https://ann:${planted['password of the image']}@mirror.example.test/debian.qcow2`,
};

/** Every key whose pattern takes one of these URLs. */
function keysThatTake(urls: string[], schema: KeySchema, path: string[] = []): string[] {
  const pattern = schema.type === 'string' && schema.pattern !== undefined ? new RegExp(schema.pattern) : null;
  // Names of a vCenter's objects can be any text.
  const here = pattern !== null && !pattern.test('a name') && urls.some((url) => pattern.test(url));
  return [
    ...(here ? [path.join('.')] : []),
    ...(schema.anyOf ?? []).flatMap((branch) => keysThatTake(urls, branch, path)),
    ...Object.entries(schema.properties ?? {}).flatMap(([key, one]) => keysThatTake(urls, one, [...path, key])),
    ...(schema.items === undefined ? [] : keysThatTake(urls, schema.items, [...path, '[]'])),
  ];
}

let kit: TestKit;
const site = () => readFileSync(join(kit.stacks, 'sites/kvm-example.yaml'), 'utf8');
const ran: Record<string, Run> = {};

beforeAll(() => {
  kit = new TestKit();
  const document = parseDocument(readFileSync(join(repoRoot, 'stacks/sites/kvm-example.yaml'), 'utf8'));
  for (const [key, url] of Object.entries(URLS)) document.setIn(key.split('.'), url);
  kit.writeSite('kvm-example', document.toString());
  for (const args of [
    ['plan', 'kvm-example'],
    ['plan', 'kvm-example', '--json'],
    ['validate', 'kvm-example'],
    ['fleet', '--json'],
    ['explain', 'kvm-example', 'backend.url'],
    ['explain', 'kvm-example', 'machines.kvm.image'],
    ['render', 'kvm-example'],
    ['report', 'kvm-example'],
    // Refused: it names the backend.
    ['outputs', 'kvm-example', '--json'],
  ])
    ran[args.join(' ')] = kit.run(args, { PULUMI_CONFIG_PASSPHRASE: 'a passphrase' });
});
afterAll(() => kit?.remove());

test('these are the keys of a site file that can have one', () => {
  expect(keysThatTake(Object.values(URLS), siteKeys).sort()).toEqual(Object.keys(URLS).sort());
  expect(readableSecrets(site(), planted)).toEqual(Object.keys(planted));
});

test.each([
  ['plan kvm-example --json', 'mirror.example.test/debian.qcow2'],
  ['explain kvm-example backend.url', 'postgres://ann:[secret: password of a URL]@db.example.test/x'],
  ['explain kvm-example machines.kvm.image', 'https://ann:[secret: password of a URL]@mirror.example.test'],
  ['render kvm-example', '[secret: password of a URL]@mirror.example.test/debian.qcow2'],
])('%s shows the rest of it', (command, shown) => expect(ran[command]!.stdout).toContain(shown));

test('and no command shows what is secret of it', () => {
  const found = Object.entries(ran).map(([command, { stdout, stderr }]) => [
    command,
    readableSecrets(stdout + stderr, planted),
  ]);
  expect(found).toEqual(Object.keys(ran).map((command) => [command, []]));
});

test('what is JSON stays JSON', () => {
  expect(JSON.parse(ran['plan kvm-example --json']!.stdout)).toMatchObject({ site: 'kvm-example' });
});
