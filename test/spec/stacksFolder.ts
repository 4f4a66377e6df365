import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { formatProblem, loadSite, type LoadResult } from '../../components/spec';

const made: string[] = [];

/** A folder with the given files below `stacks/`; returns the path of `stacks`. */
export function stacksFolder(files: Record<string, string>): string {
  const top = mkdtempSync(join(tmpdir(), 'sitewright-spec-'));
  made.push(top);
  for (const [path, text] of Object.entries(files)) {
    const file = join(top, 'stacks', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return join(top, 'stacks');
}

/** For `afterAll`. */
export function removeStacksFolders(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true });
}

/** Loads `sites/oslo.yaml` of a folder with these files, as kit 0.1.0. */
export function loadOslo(files: Record<string, string>): LoadResult {
  return loadSite({ stacksDir: stacksFolder(files), site: 'oslo', kitVersion: '0.1.0' });
}

/** The problems of a site, as the user sees them. */
export function problemsOf(site: string, profiles: Record<string, string> = {}): string[] {
  const files = Object.entries(profiles).map(([name, text]) => [`profiles/${name}.yaml`, text]);
  const result = loadOslo({ ...Object.fromEntries(files), 'sites/oslo.yaml': site });
  return result.ok ? [] : result.problems.map(formatProblem);
}

/** The smallest valid site; every test changes one thing of it. */
export const OSLO = `name: oslo
kit: ^0.1.0
environment: staging
underlay:
  subnets:
    - name: rack1
      cidrs: [192.0.2.0/24]
machines:
  provider: existing
  nodes:
    - name: cp1
      role: control-plane
      addresses: [192.0.2.11/24]
`;
/** Its last line is 13: what is added begins at line 14. */
export const osloWith = (more: string) => `${OSLO}${more}`;
