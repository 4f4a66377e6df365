import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kubeadmDocuments, plainCluster } from '../../scripts/bench/plainCluster';
import { writePlainShell } from '../../scripts/bench/plainShell';
import { recordedSteps } from '../../scripts/bench/recordedSteps';
import { makeContext } from '../../scripts/cli/context';
import { openSite } from '../../scripts/cli/site';
import { program } from '../plugins/kubernetes/apiServer';

const secret = (value: unknown) => ({ plaintext: JSON.stringify(value) });
const resource = (name: string, inputs: object) => ({
  urn: `urn:pulumi:bench::sitewright::x$y::bench-${name}`,
  inputs,
});

function state(): string {
  const ofMachine = (name: string, host: string) => [
    resource(`machines-${name}-domain`, { stdin: secret(`make ${name}`) }),
    resource(`${name}-prepare`, {
      stdin: secret(`prepare ${name}`),
      connection: secret({ host, port: 22, user: 'kit', privateKey: secret('KEY'), hostKey: `ssh-ed25519 ${name}` }),
    }),
    resource(`proof-node-${name}`, { stdin: secret(`node ${name}`) }),
  ];
  const resources = [
    resource('machines-local-image', { stdin: secret('image') }),
    ...ofMachine('a', '192.0.2.1'),
    ...ofMachine('b', '192.0.2.2'),
    resource('proof-pair-a-b', { stdin: secret('pair') }),
  ];
  return JSON.stringify({ deployment: { resources } });
}

const steps = () => recordedSteps(state(), 'bench', 'local', ['a', 'b'], [['a', 'b']]);

test('reads what every step sent, secrets inside of secrets included', () => {
  expect(steps()).toMatchObject({
    baseImage: 'image',
    machines: [
      { name: 'a', login: { host: '192.0.2.1', privateKey: 'KEY' }, make: 'make a', prepare: 'prepare a' },
      { name: 'b', login: { host: '192.0.2.2', hostKey: 'ssh-ed25519 b' } },
    ],
    nodeProofs: ['node a', 'node b'],
    pairProofs: ['pair'],
  });
});

test('a state without one of the steps is refused, so that no run measures less than the other', () => {
  expect(() => recordedSteps(state(), 'bench', 'local', ['a', 'c'], [])).toThrow('the state has no bench-c-prepare');
});

describe('the plain shell script', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sitewright-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('is valid bash, pins the host keys, and keeps what it sends to its owner', () => {
    const { up, reach } = writePlainShell(join(folder, 'shell'), steps(), null);
    for (const script of [up, reach]) {
      expect(spawnSync('bash', ['-n', script], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
      expect(readFileSync(script, 'utf8')).toContain('StrictHostKeyChecking=yes');
    }
    expect(readFileSync(join(folder, 'shell/known_hosts'), 'utf8')).toBe(
      '192.0.2.1 ssh-ed25519 a\n192.0.2.2 ssh-ed25519 b\n',
    );
    // ssh refuses a key without its final line end.
    expect(readFileSync(join(folder, 'shell/key'), 'utf8')).toBe('KEY\n');
    expect(statSync(join(folder, 'shell/key')).mode & 0o777).toBe(0o600);
  });

  describe('of a cluster', () => {
    const { plan } = openSite(makeContext({}), 'lab');
    const cluster = plainCluster(plan);
    const { machines, ...rest } = steps();
    const ofLab = machines.map((machine, index) => ({ ...machine, name: plan.nodes[index]!.name }));

    test('every script is valid bash, and the bundle and the nodes are sent', () => {
      const { up } = writePlainShell(
        join(folder, 'cluster'),
        { ...rest, machines: ofLab, bundleImage: 'bundle' },
        cluster,
      );
      const files = [up, ...['init', 'wait', 'lab1.node', 'lab2.node'].map((name) => join(folder, 'cluster', name))];
      for (const file of files)
        expect(spawnSync('bash', ['-n', file], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
      const text = readFileSync(up, 'utf8');
      for (const file of ['bundle-image', 'lab1.node', 'lab2.node', 'init', 'wait'])
        expect(text).toMatch(new RegExp(`"\\$data/${file}"|as_root ${file} `));
      expect(readFileSync(files[3]!, 'utf8')).toContain('kube-apiserver');
      expect(readFileSync(files[4]!, 'utf8')).not.toContain('kube-apiserver');
    });

    test('kubeadm takes its documents', () => {
      const file = join(folder, 'kubeadm.yaml');
      writeFileSync(file, kubeadmDocuments(plan, plan.nodes[0]!));
      const kubeadm = program('kubernetes', 'kubeadm');
      expect(spawnSync(kubeadm, ['config', 'validate', '--config', file], { encoding: 'utf8' })).toMatchObject({
        status: 0,
        stdout: 'ok\n',
      });
    });
  });
});
