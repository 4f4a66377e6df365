import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineEvent } from '@pulumi/pulumi/automation';
import { renderFailure } from '../../scripts/cli/operate';
import { Progress, type FinishedStep } from '../../scripts/cli/progress';
import { redactor } from '../../scripts/cli/redact';
import { renderFinished, renderLive, shownSeconds } from '../../scripts/cli/view';

/** Recorded from the real engine with the kit's plugin; inputs and outputs of resources are left out. */
const recorded = (name: string) =>
  JSON.parse(readFileSync(join(__dirname, 'events', `${name}.json`), 'utf8')) as EngineEvent[];

/** Plays events one second apart and keeps what was shown after each. */
function play(events: EngineEvent[]) {
  let seconds = 0;
  const finished: FinishedStep[] = [];
  const progress = new Progress({
    site: 'acme',
    nodes: ['cp1', 'w1'],
    now: () => seconds,
    onFinished: (step) => finished.push(step),
  });
  const shown = events.map((event) => {
    progress.handle(event);
    const lines = progress.lines().map((line) => renderLive(line, 4, 80));
    seconds += 1;
    return lines;
  });
  return { progress, finished, shown };
}

describe('a first up', () => {
  const { progress, finished, shown } = play(recorded('up'));

  test('each finished step is told once, in the words of the site', () => {
    expect(finished.map((step) => renderFinished(step, 4))).toEqual([
      'cp1   virtual machine: made after 5 s',
      'w1    virtual machine: made after 5 s',
      'w1    preparation: made after 2 s',
      'cp1   preparation: made after 2 s',
      'cp1   proof with w1: made after 1 s',
    ]);
  });

  test('a live line a machine shows the step that the machine told, and for how long', () => {
    expect(shown[8]).toEqual([
      '> cp1   virtual machine: starts the machine  3 s',
      '> w1    virtual machine: making  2 s',
    ]);
    expect(shown[0]).toEqual(['  cp1   waiting', '  w1    waiting']);
  });

  test('components, providers and the stack are not counted', () => {
    expect(progress.counts()).toEqual({ same: 0, create: 5, update: 0, replace: 0, delete: 0 });
  });

  test('nothing failed', () => expect(progress.failures()).toEqual([]));
});

describe('an up that fails', () => {
  const { progress, finished } = play(recorded('failed'));

  test('the failure has the last lines of the resource once, without the words of the engine', () => {
    expect(progress.failures().map(renderFailure)).toEqual([
      'cp1, preparation:\n  last step: sets sysctls\n  cp1: sudo asks for a password',
    ]);
  });

  test('the step that failed is told as such', () => {
    expect(finished.map((step) => renderFinished(step, 4))).toEqual(['cp1   preparation: FAILED after 7 s']);
  });
});

test('a failure of the program is told under the name of the site', () => {
  const urn = 'urn:pulumi:acme::sitewright::pulumi:pulumi:Stack::sitewright-acme';
  const message =
    '<{%reset%}>machines.kvm.image: the image of the lab is not there\n    at run (/x/program.js:1:2)\n<{%reset%}>';
  const diagnosticEvent = { urn, message, color: 'never', severity: 'error' as const };
  const { progress } = play([{ sequence: 0, timestamp: 0, diagnosticEvent }]);
  expect(progress.failures()).toEqual([
    { node: 'acme', what: '', lines: ['machines.kvm.image: the image of the lab is not there'] },
  ]);
});

test('a destroy counts what it removed', () => {
  expect(play(recorded('destroy')).progress.counts()).toMatchObject({ delete: 5 });
});

test('a live line is cut to the width of the terminal', () => {
  const line = { node: 'cp1', text: 'x'.repeat(200), running: true, failed: false, seconds: 61 };
  const shown = renderLive(line, 4, 40);
  expect(shown.length).toBeLessThanOrEqual(40);
  expect(shown).toMatch(/… {2}1 min 1 s$/);
});

test('seconds are whole', () => expect([0.9, 59.99, 125].map(shownSeconds)).toEqual(['0 s', '59 s', '2 min 5 s']));

test('secrets are blanked, whole and line by line', () => {
  const clean = redactor(['hunter2hunter2', '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAAB3NzaC1yc2E\nmore']);
  expect(clean('it said hunter2hunter2 and AAAAB3NzaC1yc2E')).toBe('it said [secret] and [secret]');
  expect(clean('-----BEGIN OPENSSH PRIVATE KEY----- more')).toContain('more');
});
