import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineEvent } from '@pulumi/pulumi/automation';
import { version } from '../../package.json';
import { violationOf, type Violation } from '../../scripts/cli/progress';
import { installPolicyLauncher } from '../../scripts/engine/plugins';
import { plannedBundle, plannedLab } from '../../scripts/render/madeUp';
import { plannedVsphere } from '../../scripts/render/vsphere';
import { siteProgram } from '../../stacks/program';
import { removeCompiledPlugins, TestStack } from '../plugins/engine';
import { repoRoot, transpile } from '../plugins/transpile';
import { hostKeySeed, userKey } from '../site/sites';

/** The pack of the kit on the real engine, without the vendor's language host: what it says of a site at preview. */

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIICBgoOEhYaHiImKi4yNjo+QkZKTlJWWl5iZmpucnZ6f';
const site = (more = '') => `name: test
kit: ^${version}
environment: staging
underlay:
  subnets:
    - name: rack
      cidrs: [192.0.2.0/24]
machines:
  provider: existing
  nodes:
    - name: cp1
      role: control-plane
      addresses: [192.0.2.11/24]
      ssh:
        hostKey: ${KEY}
${more}`;
const PERSONAL = 'policy:\n  namespaces:\n    - name: erp\n      data: personal\n';

let stack: TestStack;
let compiled: string;
let stacksDir: string;
beforeAll(async () => {
  stack = await TestStack.make('sitewright');
  installPolicyLauncher({ pulumiHome: join(stack.dir, 'home') });
  compiled = transpile(['scripts/policy/pack.ts']);
  cpSync(join(repoRoot, 'package.json'), join(compiled, 'package.json'));
  const pack = join(compiled, 'scripts/policy');
  cpSync(join(repoRoot, 'scripts/policy/PulumiPolicy.yaml'), join(pack, 'PulumiPolicy.yaml'));
  cpSync(join(repoRoot, 'scripts/policy/package.json'), join(pack, 'package.json'));
  const start = readFileSync(join(repoRoot, 'scripts/policy/index.js'), 'utf8');
  writeFileSync(join(pack, 'index.js'), start.replace('../../bin/scripts/policy/pack', './pack'));
  stacksDir = join(stack.dir, 'stacks');
  mkdirSync(join(stacksDir, 'sites'), { recursive: true });
  // The engine hands its environment on to the pack.
  process.env.SITEWRIGHT_STACKS_DIR = stacksDir;
  await stack.stack.setConfig('sitewright:sshPrivateKey', { value: userKey.privateKey, secret: true });
  await stack.stack.setConfig('sitewright:hostKeySeed', { value: hostKeySeed, secret: true });
});
afterAll(async () => {
  delete process.env.SITEWRIGHT_STACKS_DIR;
  await stack?.remove();
  removeCompiledPlugins();
  if (compiled) rmSync(compiled, { recursive: true });
});

async function preview(text: string): Promise<{ went: boolean; said: string; violations: Violation[] }> {
  writeFileSync(join(stacksDir, 'sites/test.yaml'), text);
  const events: EngineEvent[] = [];
  const result = await stack.stack
    .preview({
      program: () =>
        siteProgram({
          ...{ stacksDir, kitVersion: version, backendUrl: undefined },
          ...{ withLab: plannedLab, withBundle: plannedBundle, withVsphere: plannedVsphere },
        }),
      policyPacks: [join(compiled, 'scripts/policy')],
      onEvent: (event) => void events.push(event),
    })
    .then(
      ({ stdout }) => ({ went: true, said: stdout }),
      (error: Error) => ({ went: false, said: error.message }),
    );
  return { ...result, violations: events.flatMap((event) => violationOf(event) ?? []) };
}

test('a site that keeps the rules goes on', async () => {
  const { went, said, violations } = await preview(site());
  expect({ went, violations }).toEqual({ went: true, violations: [] });
  expect(said).toMatch(/sitewright@v/);
});

test('one that breaks a rule is stopped, with the rule and the place in its file', async () => {
  expect(await preview(site(PERSONAL))).toMatchObject({
    went: false,
    violations: [
      {
        ...{ urn: '', isMandatory: true },
        lines: [
          expect.stringMatching(/^policy personal-data of sitewright: /),
          expect.stringMatching(/stacks\/sites\/test\.yaml:19:13 .*erp handles personal data/),
        ],
      },
    ],
  });
});

test('where its level is a warning, it goes on and is told', async () => {
  const { went, violations } = await preview(site(`${PERSONAL}rules:\n  levels:\n    personal-data: warning\n`));
  expect({ went, violations }).toEqual({
    went: true,
    violations: [
      {
        ...{ urn: '', isMandatory: false },
        lines: [
          expect.stringMatching(/^policy personal-data-warning of sitewright: /),
          expect.stringContaining('erp handles personal data'),
        ],
      },
    ],
  });
});
