import { hostname } from 'node:os';
import { EngineError } from '../../scripts/cli/cliProcess';
import { oneIdentity, parseMetadata, parseStamp } from '../../scripts/cli/commands/adopt';
import { EngineFailure, explainEngineError, isAlive, lockHolders } from '../../scripts/cli/engineErrors';
import { badInput, failed, reportError } from '../../scripts/cli/errors';
import { backendFolder, expandBackend } from '../../scripts/cli/backend';

const engineError = (stderr: string) => explainEngineError(new EngineError({ code: 255, stdout: '', stderr }), 'acme');

describe('what an error becomes', () => {
  test('bad input: its message, exit code 2', () => {
    expect(reportError(badInput('no such profile'), false)).toMatchObject({ exitCode: 2, text: 'no such profile' });
  });

  test('a failure: its message, exit code 1', () => {
    expect(reportError(failed('it broke'), true)).toMatchObject({ exitCode: 1, text: 'it broke' });
  });

  test("errors of the kit's other parts keep their exit code", () => {
    const error = Object.assign(new Error('the lab is not up'), { exitCode: 2 });
    expect(reportError(error, false)).toMatchObject({ exitCode: 2, text: 'the lab is not up' });
  });

  test('a defect: one line, and the stack only when asked for', () => {
    const defect = new TypeError('x is not a function\nsecond line');
    const { text, exitCode } = reportError(defect, false);
    expect(exitCode).toBe(1);
    expect(text).toBe('unexpected error: x is not a function (--verbose shows where)');
    expect(reportError(defect, true).text).toContain('messages.test.ts');
  });
});

describe('what the engine says, as something to act on', () => {
  test('a wrong passphrase is bad input', () => {
    const error = engineError('error: getting stack configuration: get stack secrets manager: incorrect passphrase');
    expect(reportError(error, false)).toMatchObject({ exitCode: 2, text: expect.stringMatching(/^wrong passphrase/) });
  });

  const locked = (host: string, pid: number) =>
    'error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock ' +
    'file with `pulumi cancel`.\n' +
    `  file:///s/x.json?no_tmp_dir=true: created by ops@${host} (pid ${pid}) at 2026-01-02T03:04:05Z`;

  test('a lock of a process that runs: wait', () => {
    const { text, exitCode } = reportError(engineError(locked(hostname(), process.pid)), false);
    expect(exitCode).toBe(1);
    expect(text).toContain(`ops@${hostname()}, process ${process.pid}, since 2026-01-02T03:04:05Z, still running`);
    expect(text).not.toContain('sitewright unlock');
  });

  test('a lock whose process is gone: the command that clears it', () => {
    // Above the largest process id that Linux gives out.
    expect(reportError(engineError(locked(hostname(), 4_194_305)), false).text).toMatch(
      /no longer running: it was killed\nClear it with: sitewright unlock acme$/,
    );
  });

  test('a process of another machine cannot be looked at', () => {
    const [holder] = lockHolders(locked('elsewhere', 1));
    expect(holder).toEqual({ user: 'ops', host: 'elsewhere', pid: 1, since: '2026-01-02T03:04:05Z' });
    expect(isAlive(holder)).toBe('unknown');
  });

  test('anything else: its error lines, without the rest', () => {
    const error = engineError('Updating (acme):\nerror: no plugin\nerror: no plugin\nnoise');
    expect(error).toBeInstanceOf(EngineFailure);
    expect((error as Error).message).toBe('no plugin');
  });
});

describe('the identity of machines whose state was lost', () => {
  test('is read from the stamp of a node', () => {
    expect(parseStamp('{"site": "acme", "id": "one"}\n')).toEqual({ site: 'acme', id: 'one' });
    expect(parseStamp('')).toBeNull();
    expect(parseStamp('{"site": 1}')).toBeNull();
  });

  test("is read from a domain's metadata", () => {
    const xml = '<machine xmlns="urn:sitewright:machine:1" site="acme" machine="cp1" stamp="one" configuration="f"/>';
    expect(parseMetadata(xml)).toEqual({ site: 'acme', id: 'one' });
    expect(parseMetadata('')).toBeNull();
  });

  const cp1 = { machine: 'cp1', stamp: { site: 'acme', id: 'one' } };

  test('must be one', () => {
    expect(oneIdentity('acme', [cp1, { machine: 'w1', stamp: { site: 'acme', id: 'one' } }])).toBe('one');
    const other = { machine: 'w1', stamp: { site: 'acme', id: 'two' } };
    expect(() => oneIdentity('acme', [cp1, other])).toThrow(
      /cp1 was made by the state one\nw1 was made by the state two/,
    );
  });

  test('must be of this site, on every machine', () => {
    const foreign = { machine: 'w1', stamp: { site: 'oslo', id: 'one' } };
    const bare = { machine: 'w2', stamp: null };
    expect(() => oneIdentity('acme', [cp1, foreign, bare])).toThrow(/w1 belongs to the site oslo\nw2 carries no stamp/);
  });
});

test('the home folder in a backend', () => {
  expect(expandBackend('file://~/state')).toMatch(/^file:\/\/\/.*\/state$/);
  expect(backendFolder('file:///var/state?no_tmp_dir=true')).toBe('/var/state');
  expect(backendFolder('s3://acme-state')).toBeUndefined();
});
