import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { nodeFactsProgram } from '../../components/clusterProbe/nodeProgram';

test('a machine tells its table of connections, and the CPUs that kube-proxy counts', () => {
  const question = { part: 'machine', mode: 'ipvs', metricsAddress: '127.0.0.1:1', families: ['ipv4'], addresses: [] };
  const run = (command: string, args: string[]) => {
    const { stdout, stderr } = spawnSync(command, [...args, 'python3', '-', JSON.stringify(question)], {
      ...{ input: nodeFactsProgram, encoding: 'utf8' },
    });
    return stdout === '' ? stderr : (JSON.parse(stdout) as Record<string, unknown>);
  };
  expect(run('env', [])).toMatchObject({ cpus: availableParallelism(), conntrackMax: expect.any(Number) });
  expect(run('taskset', ['-c', '0'])).toMatchObject({ cpus: 1 });
});
