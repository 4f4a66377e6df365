import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { parseDocument } from 'yaml';
import { keepResults, readKept } from '../../scripts/cli/keptResults';
import { redactor } from '../../scripts/cli/redact';
import { pairResults, planOf } from '../report/sites';
import { repoRoot } from '../site/sites';
import { readableSecrets } from '../support/plantedSecrets';
import { TestKit } from './kit';

/** `sitewright report` by the real command line, and what it is made of between two commands. */
let kit: TestKit;
const cache = process.env.XDG_CACHE_HOME;
beforeAll(() => {
  kit = new TestKit();
  process.env.XDG_CACHE_HOME = join(kit.home, '.cache');
});
afterAll(async () => {
  if (cache === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cache;
  await kit?.remove();
});

const said: string[] = [];
const context = { say: (text: string) => void said.push(text) };
const at = new Date('2026-11-21T08:30:00Z');
const asItIs = { at, redact: (text: string) => text };
const results = () => join(kit.home, '.cache/sitewright/results');
const none = { results: [], unanswered: [] };

/** A worked example under a name of its own, with edits of its file. */
function writeExample(site: string, edits: [path: string[], value: string][]): string {
  const document = parseDocument(readFileSync(join(repoRoot, 'stacks/sites/kvm-example.yaml'), 'utf8'));
  for (const [path, value] of [[['name'], site] as [string[], string], ...edits]) document.setIn(path, value);
  kit.writeSite(site, document.toString());
  return document.toString();
}

describe('results that are kept', () => {
  const plan = { site: 'oslo', backendUrl: 'file:///nowhere/state' };

  test('come back as they were, in a file that is for its owner alone', () => {
    const found = { results: pairResults(planOf(5)), unanswered: [{ where: 'cp1', message: 'no route to host' }] };
    keepResults(context, plan, 'verify', found, asItIs);
    expect(readKept(plan, 'verify')).toEqual({ at: at.toISOString(), found });
    const [file, ...others] = readdirSync(results());
    expect(others).toEqual([]);
    expect(statSync(join(results(), file!)).mode & 0o777).toBe(0o600);
  });

  test('are of one site with one state, and of one command', () => {
    expect(readKept({ ...plan, site: 'bergen' }, 'verify')).toBeNull();
    expect(readKept({ ...plan, backendUrl: 'file:///elsewhere' }, 'verify')).toBeNull();
    expect(readKept(plan, 'drift')).toBeNull();
  });

  test('of another layout, or cut off, are as if they were not there', () => {
    const file = join(results(), readdirSync(results())[0]!);
    const kept = JSON.parse(gunzipSync(readFileSync(file)).toString()) as object;
    for (const content of [gzipSync(JSON.stringify({ ...kept, schemaVersion: 2 })), Buffer.from('x'), gzipSync('{')]) {
      writeFileSync(file, content);
      expect(readKept(plan, 'verify')).toBeNull();
    }
    writeFileSync(file, gzipSync(JSON.stringify(kept)));
    expect(readKept(plan, 'verify')).not.toBeNull();
  });

  test('that cannot be kept are told, and the command goes on', () => {
    process.env.XDG_CACHE_HOME = join(kit.dir, 'package.json');
    keepResults(context, plan, 'verify', none, asItIs);
    process.env.XDG_CACHE_HOME = join(kit.home, '.cache');
    expect(said.splice(0)).toEqual([
      expect.stringMatching(/^warning: verify is not kept for sitewright report: ENOTDIR/),
    ]);
  });
});

describe('sitewright report', () => {
  test('of a site that was never looked at: a page that says so, on stdout', () => {
    writeExample('oslo', []);
    const { code, stdout } = kit.run(['report', 'oslo']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^<!DOCTYPE html>\n<html lang="en">/);
    expect(stdout).toMatch(/The network of this site was not verified yet/);
    expect(kit.run(['report', 'oslo']).stdout).toBe(stdout);
  });

  test('takes what an `up` left in its state that ended before the cluster was there', () => {
    const state = join(kit.dir, 'state');
    writeExample('tromso', [[['backend', 'url'], `file://${state}`]]);
    const file = join(state, '.pulumi/stacks/sitewright/tromso.json');
    const urn = (type: string, name: string) => `urn:pulumi:tromso::sitewright::${type}::${name}`;
    const probe = { urn: urn('command:local:Command', 'tromso-proof-cp1'), modified: '2026-03-02T10:00:00.5Z' };
    const plan = planOf(5);
    const outputs = {
      results: pairResults({ ...plan, proof: { ...plan.proof, pairs: plan.proof.pairs.slice(0, 1) } }),
    };
    const resources = [
      { urn: urn('pulumi:pulumi:Stack', 'sitewright-tromso'), type: 'pulumi:pulumi:Stack' },
      { urn: urn('sitewright:proof:Proof', 'tromso-proof'), type: 'sitewright:proof:Proof', outputs },
      { ...probe, type: 'command:local:Command' },
    ];
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify({ version: 3, checkpoint: { latest: { resources } } }));
    const { stdout } = kit.run(['report', 'tromso']);
    expect(stdout).toMatch(/Measured by up on 2026-03-02 10:00 UTC:\s[^]*2 of 2 paths pass/);
  });

  test('what is asked for wrongly is bad input, and nothing is written', () => {
    const before = readdirSync(kit.dir);
    const missing = kit.run(['report', 'oslo', '--out', 'nowhere/oslo.html']);
    expect(missing).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^.*--out nowhere\/oslo.html: ENOENT/m),
    });
    expect(kit.run(['report', 'oslo', '--out', 'oslo.html', '--json'])).toMatchObject({
      ...{ code: 2, stdout: expect.stringMatching(/--out and --json: choose one of them/) },
    });
    expect(kit.run(['report', 'nope'])).toMatchObject({ code: 2, stdout: '' });
    expect(kit.run(['report', '../oslo'])).toMatchObject({ code: 2, stdout: '' });
    expect(readdirSync(kit.dir)).toEqual(before);
  });

  test('secrets planted wherever a site can have one are in neither the page, the JSON nor the kept results', () => {
    const planted = {
      'password of the backend': 'pw-of-the-backend-1',
      'password of the image': 'pw-of-the-image-222',
      'key beside the site': 'plain-value-in-the-settings',
      'secret in a message': 'value"that a machine\nhas quoted in its answer',
      passphrase: 'planted-passphrase-3333',
    };
    const backendUrl = `postgres://ann:${planted['password of the backend']}@db.example/x`;
    const image = `https://ann:${planted['password of the image']}@mirror.example/debian.qcow2`;
    const text = writeExample('planted', [
      [['backend', 'url'], backendUrl],
      [['machines', 'kvm', 'image', 'url'], image],
    ]);
    const settings = `config:\n  sitewright:sshPrivateKey: ${planted['key beside the site']}\n`;
    writeFileSync(join(kit.stacks, 'Pulumi.planted.yaml'), settings);
    const message = `cp1 refused ${planted['secret in a message']}`;
    const found = { results: [], unanswered: [{ where: 'cp1', message }] };
    const redact = redactor(Object.values(planted));
    keepResults(context, { site: 'planted', backendUrl }, 'verify', found, { at, redact });

    const env = { PULUMI_CONFIG_PASSPHRASE: planted.passphrase };
    const [page, json] = [kit.run(['report', 'planted'], env), kit.run(['report', 'planted', '--json'], env)];
    expect(page.stdout).toContain('cp1 refused [secret]');
    const kept = readdirSync(results()).map(
      (name) => gunzipSync(readFileSync(join(results(), name))).toString() + name,
    );
    const all = [page.stdout, page.stderr, json.stdout, json.stderr, ...kept].join('\n');
    expect(readableSecrets(text + settings + message + planted.passphrase, planted)).toEqual(Object.keys(planted));
    expect(readableSecrets(all, planted)).toEqual([]);
  });
});
