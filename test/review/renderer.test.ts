import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Renderer } from '../../scripts/review/renderer';
import type { Revision } from '../../scripts/review/revision';

/** Answers with how often it was asked, a little later, so that a second question comes before the first answer. */
const WORKER = `let asked = 0;
process.on('message', ({ id }) => setTimeout(() => process.send({ id, result: { ok: false, problems: [], asked: ++asked } }), 50));
`;

let folder: string;
let revision: Revision;
let renderer: Renderer;
const cacheHome = process.env.XDG_CACHE_HOME;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-renderer-'));
  process.env.XDG_CACHE_HOME = folder;
  mkdirSync(join(folder, 'stacks/sites'), { recursive: true });
  for (const name of ['oslo', 'bergen']) writeFileSync(join(folder, `stacks/sites/${name}.yaml`), `name: ${name}\n`);
  writeFileSync(join(folder, 'worker.js'), WORKER);
  const kit = { version: '0.1.0', id: 'a', worker: join(folder, 'worker.js') };
  revision = { label: 'worktree', stacksDir: join(folder, 'stacks'), kit };
  renderer = new Renderer(1);
});
afterEach(() => {
  renderer.close();
  if (cacheHome === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cacheHome;
  rmSync(folder, { recursive: true });
});

const renders = () => join(folder, 'sitewright/renders');

test('equal inputs at the same time are rendered and written once, and later ones come from the cache', async () => {
  const both = await Promise.all([renderer.render(revision, 'oslo'), renderer.render(revision, 'oslo')]);
  expect(both).toEqual([expect.objectContaining({ asked: 1 }), expect.objectContaining({ asked: 1 })]);
  expect(both[0]).toBe(both[1]);
  const [file] = readdirSync(renders());
  const kept = join(renders(), file!);
  writeFileSync(kept, readFileSync(kept, 'utf8').replace('"asked":1', '"asked":"cache"'));
  expect(await renderer.render(revision, 'oslo')).toMatchObject({ asked: 'cache' });
  expect(await renderer.render(revision, 'bergen')).toMatchObject({ asked: 2 });
});

test('a rendering that nobody has used for long goes when another is written', async () => {
  mkdirSync(renders(), { recursive: true });
  for (const name of ['old.json', 'new.json']) writeFileSync(join(renders(), name), '{}');
  utimesSync(join(renders(), 'old.json'), 0, 0);
  await renderer.render(revision, 'oslo');
  expect(readdirSync(renders())).toHaveLength(2);
  expect(readdirSync(renders())).toContain('new.json');
});
