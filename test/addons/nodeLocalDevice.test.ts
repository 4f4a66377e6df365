import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderDeviceRemoval, renderDeviceScript } from '../../components/addons/nodeLocalDevice';

/** Compares with test/addons/golden/<name>; UPDATE_GOLDENS=1 writes it, and the change is reviewed like code. */
function expectGolden(name: string, text: string): void {
  const file = join(__dirname, 'golden', name);
  if (process.env.UPDATE_GOLDENS === '1') writeFileSync(file, text);
  expect(existsSync(file) ? readFileSync(file, 'utf8') : `${name} is missing`).toBe(text);
}

const scripts: [name: string, text: string][] = [
  ['device.sh', renderDeviceScript('169.254.20.10')],
  ['device-remove.sh', renderDeviceRemoval()],
];
const hasShellcheck = spawnSync('shellcheck', ['--version']).status === 0;

describe.each(scripts)('%s', (name, text) => {
  test('is as reviewed', () => expectGolden(name, text));

  test('is valid bash', () => {
    const { status, stderr } = spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  // Debian's package shellcheck; where it is missing, the golden still holds what was checked.
  (hasShellcheck ? test : test.failing)('passes shellcheck', () => {
    const { stdout, error } = spawnSync('shellcheck', ['--shell=bash', '-'], { input: text, encoding: 'utf8' });
    expect({ stdout, error }).toEqual({ stdout: '', error: undefined });
  });
});

test('an IPv6 address has its own family and length', () => {
  const text = renderDeviceScript('fd53:5157:20::10');
  expect(text).toContain('ip address replace fd53:5157:20::10/128 dev nodelocaldns');
  expect(text).toContain('ip6 daddr fd53:5157:20::10 meta l4proto');
});
