import { spawnSync } from 'node:child_process';
import * as pulumi from '@pulumi/pulumi';
import {
  agentRequest,
  localScript,
  remoteScript,
  requireShortLines,
  type SshConnection,
} from '../../components/commands';
import { recordProgram } from '../support/recordingMonitor';

const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHFj7AklEdMijCGxIMqaLfJa93V314gzrmXGFaNTLTva';
const connection = (over: Partial<SshConnection> = {}): SshConnection => ({
  host: '192.0.2.11',
  port: 22,
  user: 'root',
  privateKey: pulumi.secret('the key'),
  hostKey: HOST_KEY,
  ...over,
});

async function one(program: () => unknown, preview = false) {
  const [resource] = await recordProgram(program, { preview });
  return resource;
}

describe.each([true, false])('preview: %s', (preview) => {
  test('a script on a host: pinned key, script by stdin and secret, constant command', async () => {
    const resource = await one(() => remoteScript('prepare', connection(), { script: 'echo hidden' }, {}), preview);
    expect(resource.type).toBe('command:remote:Command');
    expect(resource.inputs).toMatchObject({
      create: 'exec bash -s',
      update: 'exec bash -s',
      stdin: 'echo hidden',
      addPreviousOutputInEnv: false,
      logging: 'stderr',
      connection: { host: '192.0.2.11', hostKey: HOST_KEY, privateKey: 'the key' },
    });
    expect(resource.secretInputs).toEqual(['connection', 'stdin']);
    expect(resource.inputs).not.toHaveProperty('triggers');
    expect(resource.inputs).not.toHaveProperty('delete');
    expect(resource.deleteBeforeReplace).toBe(false);
  });

  test('a jump host is pinned likewise', async () => {
    const jump = connection({ host: '192.0.2.1' });
    const resource = await one(() => remoteScript('x', connection({ jump }), { script: '' }, {}), preview);
    expect(resource.inputs.connection).toMatchObject({ proxy: { host: '192.0.2.1', hostKey: HOST_KEY } });
    expect(resource.secretInputs).toContain('connection');
  });

  test('what replaces is deleted first', async () => {
    const resource = await one(() => localScript('x', { script: 'true', replaceOn: ['pool a'] }, {}), preview);
    expect(resource).toMatchObject({ deleteBeforeReplace: true, inputs: { triggers: ['pool a'] } });
  });

  test('a request of the agent is a secret, and no path of this machine is in its command', async () => {
    const resource = await one(() => agentRequest('ask', { request: '{"kind":"x"}' }, {}), preview);
    expect(resource.secretInputs).toEqual(['stdin']);
    expect(resource.inputs.create).not.toContain(process.cwd());
    expect(resource.inputs.update).toBe(resource.inputs.create);
  });
});

test('a delete script arrives as it was written', async () => {
  const script = `printf '%s|' "it's" 'a "b" $HOME' \\\\ \nexit 3\n`;
  const resource = await one(() => localScript('x', { script: 'true', onDelete: pulumi.output(script) }, {}));
  const run = (command: string[]) => {
    const { stdout, status } = spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
    return { stdout, status };
  };
  expect(run(['/bin/sh', '-c', resource.inputs.delete as string])).toEqual(run(['bash', '-c', script]));
  expect(run(['bash', '-c', script]).status).toBe(3);
});

test('a line that some hosts would cut is refused, a long script is not', () => {
  const line = 'a'.repeat(64 * 1024);
  expect(requireShortLines('prepare', `${line}\n${line}`)).toHaveLength(2 * line.length + 1);
  expect(() => requireShortLines('prepare', `${line}a`)).toThrow('prepare: a line of the script is longer than 65536');
});
