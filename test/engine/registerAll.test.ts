import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { transpile } from '../plugins/transpile';

/** In a process of its own: jest keeps what nothing catches from the code under test. */
const SCRIPT = `
const pulumi = require('@pulumi/pulumi');
const { recordProgram } = require('./scripts/render/monitor');
class Thing extends pulumi.CustomResource {
  constructor(name, value, opts) { super('test:index:Thing', name, { value }, opts); }
}
const two = (value) => () => {
  const first = new Thing('first', value());
  new Thing('second', 2, { dependsOn: first });
};
const fail = () => { throw new Error('no such thing'); };
const programs = {
  inApply: two(() => pulumi.output(1).apply(fail)),
  afterwards: two(() => 1),
  floating: () => void Promise.reject(new Error('nobody awaits it')),
  itself: async () => fail(),
};
const options = { preview: false, project: 'p', stack: 's', answer: ({ inputs }) => ({ id: 'id', outputs: inputs }) };
(async () => {
  const ends = {};
  for (const [name, program] of Object.entries(programs)) {
    ends[name] = await recordProgram(program, options).then(
      (recorded) => recorded.map((resource) => resource.name),
      (error) => error.message,
    );
  }
  ends.listeners = process.listenerCount('unhandledRejection') + process.listenerCount('uncaughtException');
  console.log(JSON.stringify(ends));
})();
`;

test('a program ends with its first error although something waits for ever, and the next one hears nothing of it', () => {
  const compiled = transpile(['scripts/render/monitor.ts']);
  try {
    // Node ends by itself, without a word, where nothing is left to wait for.
    const said = execFileSync(process.execPath, ['-e', SCRIPT], { cwd: compiled, encoding: 'utf8' });
    expect(JSON.parse(said)).toEqual({
      inApply: 'error serializing property "value": no such thing',
      afterwards: ['first', 'second'],
      floating: 'nobody awaits it',
      itself: 'no such thing',
      listeners: 0,
    });
  } finally {
    rmSync(compiled, { recursive: true });
  }
});
