import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeCutAttributes } from '../../scripts/cli/attributes';

describe('attributes that a kill cut off', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sitewright-attrs-'));
  const stacks = join(folder, '.pulumi/stacks/sitewright');

  afterAll(() => rmSync(folder, { recursive: true }));

  test('go, and nothing else does', () => {
    mkdirSync(stacks, { recursive: true });
    writeFileSync(join(stacks, 'oslo.json'), '');
    writeFileSync(join(stacks, 'oslo.json.attrs'), '');
    writeFileSync(join(stacks, 'oslo.json.bak.attrs'), '{}');
    removeCutAttributes(folder);
    expect(readdirSync(stacks).sort()).toEqual(['oslo.json', 'oslo.json.bak.attrs']);
  });

  test('are not looked for where there is no file backend', () => {
    expect(() => removeCutAttributes(undefined)).not.toThrow();
    expect(() => removeCutAttributes(join(folder, 'none'))).not.toThrow();
  });
});
