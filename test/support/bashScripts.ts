import { spawnSync } from 'node:child_process';

const hasShellcheck = spawnSync('shellcheck', ['--version']).status === 0;

/** Tests that every rendered bash script gets: as reviewed, valid, and clean. */
export function describeScripts(
  scripts: [name: string, text: string][],
  expectGolden: (name: string, text: string) => void,
): void {
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
}
