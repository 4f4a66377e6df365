import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestKit } from '../cli/kit';
import { repoRoot } from '../site/sites';

/** The real command line in a repository of its own: the kit and its sites. */
let kit: TestKit;
const git = (...args: string[]) =>
  execFileSync('git', ['-C', kit.dir, '-c', 'user.name=T', '-c', 'user.email=t@example.test', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
const commitAll = (message: string, ...paths: string[]) => {
  git('add', '--', ...paths);
  git('commit', '-q', '-m', message);
  return git('rev-parse', 'HEAD');
};
const KIT_FILES = ['package.json', 'package-lock.json', 'tsconfig.json', 'scripts'];
const edit = (file: string, from: string, to: string) => {
  const path = join(kit.stacks, file);
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
};

beforeAll(() => {
  kit = new TestKit();
  // Renders of other runs of this kit must not answer here.
  rmSync(join(kit.home, '.cache/sitewright'), { recursive: true });
  for (const file of ['package-lock.json', 'tsconfig.json']) cpSync(join(repoRoot, file), join(kit.dir, file));
  kit.writeSite(
    'oslo',
    readFileSync(join(repoRoot, 'stacks/sites/existing-example.yaml'), 'utf8').replace(/existing-example/g, 'oslo'),
  );
  git('init', '-q', '-b', 'main');
  commitAll('sites and kit', ...KIT_FILES, 'stacks');
});
afterAll(() => kit?.remove());

test('a working tree that says the same: exit code 0; with a change 10, with a disruptive one 11', () => {
  expect(kit.run(['diff', 'oslo', '--from', 'main'])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^oslo: no changes/),
  });
  const site = readFileSync(join(kit.stacks, 'sites/oslo.yaml'), 'utf8');
  edit('sites/oslo.yaml', '  sysctls:\n', '  sysctls:\n    vm.swappiness: 10\n');
  const small = kit.run(['diff', 'oslo', '--from', 'main']);
  expect(small).toMatchObject({
    code: 10,
    stdout: expect.stringContaining('+ sysctl vm.swappiness on every machine: in place'),
  });
  kit.writeSite('oslo', site.replace(/203\.0\.113/g, '203.0.114'));
  const large = kit.run(['diff', 'oslo', '--from', 'main', '--json']);
  expect(large.code).toBe(11);
  expect(JSON.parse(large.stdout)).toMatchObject({ site: 'oslo', to: 'worktree', worst: 'disruptive' });
  kit.writeSite('oslo', site);
});

describe('bad input ends with exit code 2', () => {
  test.each([
    ['an unknown ref', ['--from', 'nowhere'], /^nowhere: there is no such commit in .*git fetch --unshallow/],
    ['a ref that is an option', ['--from=--all'], /^--all: there is no such commit/],
    ['no ref', [], /required option '--from <ref>'/],
  ])('%s', (_title, args, message) => {
    const { code, stdout, stderr } = kit.run(['diff', 'oslo', ...args]);
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
  });

  test('a site that is on neither side', () => {
    const { code, stderr } = kit.run(['diff', 'nope', '--from', 'main']);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/^there is no site nope in main \(/) });
  });

  test('an exception whose day is over: the diff, the review and the document are whole, and the exit code is 2', () => {
    const site = readFileSync(join(kit.stacks, 'sites/oslo.yaml'), 'utf8');
    const exception = '{ name: support-end, owner: ops, until: "2020-01-31", reason: later }';
    kit.writeSite('oslo', `${site}rules:\n  exceptions:\n    - ${exception}\n`);
    const message = /stacks\/sites\/oslo\.yaml:\d+:\d+ rules\.exceptions\[support-end\].*ended on 2020-01-31/;
    expect(kit.run(['diff', 'oslo', '--from', 'main'])).toMatchObject({
      ...{ code: 2, stdout: expect.stringContaining('rules.exceptions') },
      stderr: expect.stringMatching(message),
    });
    expect(kit.run(['review', '--base', 'main'])).toMatchObject({
      ...{ code: 2, stderr: '' },
      stdout: expect.stringMatching(/1 refused by rules or other sites[^]*ended on 2020-01-31/),
    });
    const rendered = kit.run(['render', 'oslo']);
    expect(rendered).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
    expect(JSON.parse(rendered.stdout)).toMatchObject({ site: 'oslo' });
    kit.writeSite('oslo', site);
  });

  test('a site file with mistakes, which says on which side', () => {
    edit('sites/oslo.yaml', 'role: worker', 'role: woker');
    const { code, stderr } = kit.run(['diff', 'oslo', '--from', 'main']);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/sites\/oslo\.yaml:\d+:\d+ .*woker.*\(in worktree\)/),
    });
    git('checkout', '-q', '--', 'stacks');
  });

  test('a commit without sites, one without the kit, and one whose kit cannot render', () => {
    git('checkout', '-q', '--orphan', 'other');
    git('rm', '-rqf', '--cached', '.');
    const kitOnly = commitAll('kit alone', 'package.json');
    git('rm', '-q', '--cached', 'package.json');
    const sitesOnly = commitAll('sites alone', 'stacks');
    const older = JSON.stringify({ name: 'sitewright', version: '0.0.9' });
    const current = readFileSync(join(kit.dir, 'package.json'), 'utf8');
    writeFileSync(join(kit.dir, 'package.json'), older);
    const oldKit = commitAll('an earlier kit', 'package.json');
    writeFileSync(join(kit.dir, 'package.json'), current);
    const said = (ref: string, ...more: string[]) => kit.run(['diff', 'oslo', '--from', ref, ...more]);
    expect(said(kitOnly)).toMatchObject({ code: 2, stderr: expect.stringContaining('has no stacks/sites') });
    expect(said(sitesOnly)).toMatchObject({ code: 2, stderr: expect.stringContaining('is without the kit') });
    expect(said(oldKit)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/the kit of .*, 0\.0\.9, is older than `render`: --same-kit/),
    });
    expect(said(oldKit, '--same-kit')).toMatchObject({ code: 0 });
    git('checkout', '-qf', 'main');
  });
});

test('another kit is compiled with its own sources and asked for its side', () => {
  git('checkout', '-q', '-b', 'next-kit');
  const sources = {
    'scripts/render/worker.ts': `process.on('message', ({ id }: { id: number }) =>
      process.send!({ id, result: { ok: false, problems: [
        { file: 'x', line: 1, column: 1, severity: 'error', path: [], where: 'x', message: 'the other kit was asked' },
      ] } }));\n`,
    'components/a.ts': 'export const a = 1;\n',
    'stacks/program.ts': 'export const program = 1;\n',
  };
  for (const [file, text] of Object.entries(sources)) {
    execFileSync('mkdir', ['-p', join(kit.dir, file, '..')]);
    writeFileSync(join(kit.dir, file), text);
  }
  const commit = commitAll('another kit', ...Object.keys(sources));
  git('checkout', '-qf', 'main');
  const { code, stderr } = kit.run(['diff', 'oslo', '--from', commit]);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringMatching(/step: compiles the kit of [^]*the other kit was asked \(in /),
  });
  // Compiled once.
  expect(kit.run(['diff', 'oslo', '--from', commit]).stderr).not.toContain('step:');
});
