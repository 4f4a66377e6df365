import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineEvent } from '@pulumi/pulumi/automation';
import { collectChanges } from '../../scripts/cli/changes';
import { renderChanges, renderCounts } from '../../scripts/cli/renderChanges';
import { labelOf } from '../../scripts/cli/resources';

const events = JSON.parse(readFileSync(join(__dirname, 'events/preview.json'), 'utf8')) as EngineEvent[];
const found = collectChanges(events, 'acme', ['cp1', 'w1']);

test('a preview lists what changes and why, a replacement once', () => {
  expect(found).toEqual({
    changes: [
      {
        name: 'acme-machines-cp1-domain',
        node: 'cp1',
        what: 'virtual machine',
        type: 'command:local:Command',
        operation: 'replace',
        properties: ['what it was made from'],
        replacesMachine: true,
      },
      {
        name: 'acme-w1-prepare',
        node: 'w1',
        what: 'preparation',
        type: 'command:local:Command',
        operation: 'update',
        properties: ['script'],
        replacesMachine: false,
      },
    ],
    counts: { same: 3, create: 0, update: 1, replace: 1, delete: 0 },
  });
});

test('a machine that is made anew stands above everything else', () => {
  const text = renderChanges('acme', found, false);
  expect(text.split('\n')[0]).toBe('REPLACED: cp1. These machines are removed with all that is on them and made anew.');
  expect(text).toMatch(/^w1 +preparation +~ update +script$/m);
  expect(text.split('\n').pop()).toBe('1 to update, 1 to replace, 3 stay as they are');
});

test('the order of events does not change the result', () => {
  const reversed = collectChanges([...events].reverse(), 'acme', ['cp1', 'w1']);
  expect(reversed.changes).toEqual(found.changes);
});

test('no change is one line and a count', () => {
  expect(renderChanges('acme', { changes: [], counts: { same: 4 } }, false)).toBe(
    'acme: no changes\n4 stay as they are',
  );
  expect(renderCounts({ same: 0 }, 'past')).toBe('nothing to do');
});

test.each([
  ['acme-machines-cp1-domain', 'cp1', 'virtual machine'],
  ['acme-machines-cp1-ssh', 'cp1', 'first connection'],
  ['acme-cp1-prepare', 'cp1', 'preparation'],
  ['acme-cp1', 'cp1', 'machine'],
  ['acme-db-1-prepare', 'db-1', 'preparation'],
  ['acme-db-prepare', 'db', 'preparation'],
  ['acme-proof-cp1-db', 'cp1', 'proof with db'],
  ['acme-proof-cp1-db-1', 'cp1', 'proof with db-1'],
  ['acme-proof-db-db-1', 'db', 'proof with db-1'],
  ['acme-proof-pair-cp1-db-1', 'cp1', 'proof with db-1'],
  ['acme-proof-node-cp1', 'cp1', 'proof'],
  ['acme-identity', 'acme', 'identity'],
  ['acme-machines-hv1-image', 'acme', 'base image on hv1'],
  ['acme', 'acme', 'site'],
])('%s is %s: %s', (name, node, what) => {
  expect(labelOf(name, 'acme', ['cp1', 'db', 'db-1'])).toMatchObject({ node, what });
});
