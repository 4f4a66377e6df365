import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '../../package.json';
import { deriveHostKey } from '../../components/secrets/hostKey';
import { removeStacksFolders } from '../spec/stacksFolder';
import { secretLines } from '../support/plantedSecrets';
import { leaks } from './secrets';
import { differences, released, type ReleasedResource } from './release';
import { EXAMPLE_SITES, hostKeySeed, planFrom, recordSite, repoRoot } from './sites';

const fixtures = join(repoRoot, 'test/fixtures');
const sitesOf = (release: string) => join(fixtures, release, 'stacks');
const fixtureOf = (release: string, site: string) => join(fixtures, release, `${site}.json`);
const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as ReleasedResource[];

/** What today's program makes of the site files of a release, once they are reviewed with today's kit. */
async function today(release: string, site: string): Promise<ReleasedResource[]> {
  const plan = planFrom(sitesOf(release), site, [['kit'], `^${version}`]);
  return released((await recordSite(plan, { preview: false })).resources);
}

/** UPDATE_FIXTURES=1 writes the fixture of the version that package.json names; those of earlier releases stay. */
async function write(release: string): Promise<void> {
  rmSync(sitesOf(release), { recursive: true, force: true });
  mkdirSync(sitesOf(release), { recursive: true });
  for (const folder of ['sites', 'profiles'])
    cpSync(join(repoRoot, 'stacks', folder), join(sitesOf(release), folder), { recursive: true });
  for (const site of EXAMPLE_SITES)
    writeFileSync(fixtureOf(release, site), `${JSON.stringify(await today(release, site), null, 1)}\n`);
}

beforeAll(() => (process.env.UPDATE_FIXTURES === '1' ? write(`release-${version}`) : undefined));
afterAll(removeStacksFolders);

const releases = readdirSync(fixtures).filter((name) => name.startsWith('release-'));
const all = releases.flatMap((release) => EXAMPLE_SITES.map((site) => ({ release, site })));

test('the first release has a fixture', () => expect(releases).toContain('release-0.1.0'));

describe.each(all)('$site of $release', ({ release, site }) => {
  test('goes on with this program: nothing is deleted or replaced', async () => {
    expect(existsSync(fixtureOf(release, site))).toBe(true);
    const { breaking, harmless } = differences(read(fixtureOf(release, site)), await today(release, site));
    if (harmless.length > 0) console.info(`${site} since ${release}:\n${harmless.join('\n')}`);
    expect(breaking).toEqual([]);
  });

  test('its fixture shows no secret', () => {
    const resources = read(fixtureOf(release, site));
    expect(resources.length).toBeGreaterThan(10);
    const names = planFrom(sitesOf(release), site, [['kit'], `^${version}`]).nodes.map(({ name }) => name);
    const hostKeys = names.flatMap((name) => secretLines(deriveHostKey(hostKeySeed, name).privateKey));
    const planted = { 'the seed': [hostKeySeed], 'a host key': hostKeys };
    expect(leaks({ resources }, planted)).toEqual([]);
    expect(JSON.stringify(resources)).not.toContain('PRIVATE KEY');
    const scripts = resources.filter(({ inputs }) => 'stdin' in inputs).map(({ inputs }) => inputs.stdin);
    for (const stdin of scripts) expect(stdin).toMatch(/^<secret (script|request [a-z-]+)>$/);
  });
});

describe('differences', () => {
  const one = (over: Partial<ReleasedResource> = {}): ReleasedResource => ({
    name: 'oslo-machines-a-domain',
    types: 'sitewright:site:Site$command:local:Command',
    parent: 'oslo',
    dependencies: [],
    protect: true,
    deletedWith: null,
    deleteBeforeReplace: true,
    inputs: { triggers: ['pool a'], delete: 'x' },
    ...over,
  });

  test.each<[string, ReleasedResource[], RegExp]>([
    ['a removed name', [], /: gone$/],
    ['another type', [one({ types: 'sitewright:site:Site$command:remote:Command' })], /: was .*local.*, is .*remote/],
    [
      'another parent type',
      [one({ types: 'sitewright:site:Other$command:local:Command' })],
      /: was .*Site.*, is .*Other/,
    ],
    ['another trigger', [one({ inputs: { triggers: ['pool b'], delete: 'x' } })], /triggers were \["pool a"\], are/],
    ['no triggers', [one({ inputs: { delete: 'x' } })], /are nothing$/],
    ['no protection', [one({ protect: false })], /no longer protected/],
  ])('%s breaks a site', (_, after, message) => {
    const found = differences([one()], after);
    expect(found.breaking).toEqual([expect.stringMatching(message)]);
    expect(found.harmless).toEqual([]);
  });

  test('what is new or changes in place is told and breaks nothing', () => {
    const after = [
      one({ inputs: { triggers: ['pool a'], delete: 'y' }, dependencies: ['b'] }),
      one({ name: 'oslo-b' }),
    ];
    expect(differences([one()], after)).toEqual({
      breaking: [],
      harmless: ['oslo-machines-a-domain: other delete', 'oslo-machines-a-domain: other dependencies', 'oslo-b: new'],
    });
    expect(differences([one()], [one()])).toEqual({ breaking: [], harmless: [] });
  });
});
