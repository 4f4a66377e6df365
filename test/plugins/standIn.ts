import * as fs from 'node:fs';
import * as path from 'node:path';

/**
 * Answers for every command without running it; what is compared, replaced and recorded is the plugin's own. Only the
 * identity of the state prints something that the program reads.
 */
const STAND_IN = `const { serve } = require('../serve');
const { commandPlugin } = require('./plugin');
const stdout = (name) => (name.endsWith('-identity') ? '4b1d2c3e-0000-4000-8000-5a5a5a5a5a5a' : '{}');
const quiet = (kind) => ({
  ...kind,
  create: async ({ name }, inputs) => ({ id: name, outputs: { ...inputs, stdout: stdout(name), stderr: '' } }),
  update: async ({ name }, _state, inputs) => ({ ...inputs, stdout: stdout(name), stderr: '' }),
  delete: async () => undefined,
});
void serve({ ...commandPlugin, kind: (type) => quiet(commandPlugin.kind(type)) }, process.argv.slice(2));
`;

/** Commands of a test stack are recorded and not run: a site gets a state without a machine. */
export function runNoCommands(stackDir: string): void {
  const launcher = path.join(stackDir, 'home/plugins/resource-command-v1.2.1/pulumi-resource-command');
  const text = fs.readFileSync(launcher, 'utf8');
  const main = /'([^']+\/main\.js)'/.exec(text)![1]!;
  const standIn = path.join(path.dirname(main), 'standIn.js');
  fs.writeFileSync(standIn, STAND_IN);
  fs.writeFileSync(launcher, text.replace(main, standIn), { mode: 0o755 });
}
