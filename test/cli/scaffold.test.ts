import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { computePlan, formatProblem, loadSite, toProblems } from '../../components';
import { version } from '../../package.json';
import { siteFile } from '../../scripts/cli/scaffold';
import { removeStacksFolders, stacksFolder } from '../spec/stacksFolder';
import { repoRoot } from '../site/sites';

afterAll(removeStacksFolders);

const profiles = Object.fromEntries(
  ['base', 'production'].map((name) => [
    `profiles/${name}.yaml`,
    readFileSync(join(repoRoot, `stacks/profiles/${name}.yaml`), 'utf8'),
  ]),
);

test.each(['kvm', 'vsphere', 'existing'] as const)('a new site on %s can be planned as it is', (provider) => {
  const scaffold = {
    site: 'acme',
    provider,
    profile: 'production',
    environment: 'production',
    kitVersion: version,
  } as const;
  const stacksDir = stacksFolder({ ...profiles, 'sites/acme.yaml': siteFile(scaffold) });
  const loaded = loadSite({ stacksDir, site: 'acme', kitVersion: version });
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  const { plan, findings } = computePlan(loaded.spec, version);
  expect(toProblems(findings, loaded.source).map(formatProblem)).toEqual([]);
  expect(plan!.machines.provider).toBe(provider);
  expect(plan!.proof.names).toEqual(['erp.acme.example']);
});
