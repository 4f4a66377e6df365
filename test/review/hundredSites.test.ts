import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestKit } from '../cli/kit';
import { repoRoot } from '../site/sites';
import { readableSecrets } from '../support/plantedSecrets';

/** A repository of the kit and a hundred sites: some of each provider extend the profile that changes. */
const SITES = 100;
const EVERY = 10;

const planted = {
  'password of the backend': 'pw-of-the-backend-77',
  'token of the backend': 'to/ken+of-the-backend-88',
  'plain value beside a site': 'plain-value-beside-a-site-99',
  passphrase: 'the-passphrase-of-the-sites',
};
const backend = `postgres://ann:${planted['password of the backend']}@db.example.test/x?sslpassword=${encodeURIComponent(planted['token of the backend'])}`;

let kit: TestKit;
const git = (...args: string[]) =>
  execFileSync('git', ['-C', kit.dir, '-c', 'user.name=T', '-c', 'user.email=t@example.test', ...args], {
    encoding: 'utf8',
  });
const names = Array.from({ length: SITES }, (_, index) => `site${String(index).padStart(3, '0')}`);
const inheriting = names.filter((_, index) => index % EVERY === 0);
const profile = (swappiness: number) =>
  `extends: staging\nbackend:\n  url: ${backend}\nnodePrep:\n  sysctls:\n    vm.swappiness: ${swappiness}\n`;

function review(prefix: string[], ...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const command = [
    ...prefix,
    process.execPath,
    join(kit.dir, 'bin/scripts/cli/main.js'),
    'review',
    '--base',
    'main',
    ...args,
  ];
  // The time is for a machine that does much else.
  const options = {
    cwd: kit.dir,
    env: kit.env({ PULUMI_CONFIG_PASSPHRASE: planted.passphrase }),
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  } as const;
  const { status, stdout, stderr } = spawnSync(command[0]!, command.slice(1), options);
  return { code: status, stdout, stderr };
}

beforeAll(() => {
  kit = new TestKit();
  const cache = join(kit.home, '.cache/sitewright');
  rmSync(cache, { recursive: true });
  mkdirSync(cache);
  for (const file of ['package-lock.json', 'tsconfig.json']) cpSync(join(repoRoot, file), join(kit.dir, file));
  const text = readFileSync(join(repoRoot, 'stacks/sites/existing-example.yaml'), 'utf8');
  names.forEach((name) => {
    const extended = inheriting.includes(name) ? 'ring1' : 'staging';
    kit.writeSite(name, text.replace(/^name: .*$/m, `name: ${name}`).replace(/^extends: .*$/m, `extends: ${extended}`));
    const settings = `config:\n  sitewright:sshPrivateKey: ${planted['plain value beside a site']}\n`;
    writeFileSync(join(kit.stacks, `Pulumi.${name}.yaml`), settings);
  });
  writeFileSync(join(kit.stacks, 'profiles/ring1.yaml'), profile(10));
  git('init', '-q', '-b', 'main');
  git('add', '--', 'package.json', 'package-lock.json', 'tsconfig.json', 'scripts', 'stacks');
  git('commit', '-q', '-m', 'sites');
  writeFileSync(join(kit.stacks, 'profiles/ring1.yaml'), profile(20));
});
afterAll(() => kit?.remove());

test('one key of one profile: exactly the sites that inherit it, in one comment, without a secret, the same bytes again', () => {
  const cold = review([], '--report', 'report.md');
  expect(cold.stderr).toBe('');
  expect(cold.code).toBe(10);
  expect(cold.stdout).toContain(`## ${inheriting.length} of ${SITES} sites change, worst is in place`);
  expect(cold.stdout.match(/^\| site\d+ \|/gm)!.map((row) => row.slice(2, -2))).toEqual(inheriting);
  expect(cold.stdout).toContain(`Sites without a change: ${SITES - inheriting.length} untouched.`);
  expect(Buffer.byteLength(cold.stdout)).toBeLessThan(64 * 1024);
  const report = readFileSync(join(kit.dir, 'report.md'), 'utf8');
  expect(report).toContain('sysctl vm.swappiness');

  // From the cache, and from nothing in a place without a network.
  expect(review([])).toEqual(cold);
  rmSync(join(kit.home, '.cache/sitewright/renders'), { recursive: true });
  expect(review(['unshare', '--net', '--map-root-user'])).toEqual(cold);

  const everything = [cold.stdout, report, review([], '--json').stdout, ...Object.values(cacheOf(kit))].join('\n');
  expect(readableSecrets(everything, planted)).toEqual([]);
  const files = [
    profile(20),
    readFileSync(join(kit.stacks, `Pulumi.${names[0]}.yaml`), 'utf8'),
    planted.passphrase,
  ].join('\n');
  expect(readableSecrets(files, planted)).toEqual(Object.keys(planted));
});

test('a broken site among good ones: the others are reviewed, exit code 2', () => {
  const file = join(kit.stacks, 'sites', `${names[0]}.yaml`);
  writeFileSync(file, readFileSync(file, 'utf8').replace('role: worker', 'role: woker'));
  const { code, stdout } = review([]);
  expect(code).toBe(2);
  expect(stdout).toContain(
    `## ${inheriting.length - 1} of ${SITES} sites change, worst is in place, **1 cannot be read**`,
  );
  expect(stdout).toMatch(new RegExp(`### ${names[0]}: cannot be read\\n\\n- .*${names[0]}\\.yaml:\\d+:\\d+ .*woker`));
});

function cacheOf({ home }: TestKit): Record<string, string> {
  const folder = join(home, '.cache/sitewright/renders');
  const found = execFileSync('ls', [folder], { encoding: 'utf8' }).trim().split('\n');
  return Object.fromEntries(found.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}
