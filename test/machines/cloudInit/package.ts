import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { cacheDir } from '../../../components/cacheDir';

/** cloud-init and what it imports. Unpacked and not installed: installed, it would set up this machine at its next start. */
const PACKAGES = [
  'cloud-init',
  ...[
    'attr',
    'certifi',
    'chardet',
    'configobj',
    'idna',
    'jinja2',
    'json-pointer',
    'jsonpatch',
    'jsonschema',
    'markupsafe',
  ],
  ...['netifaces', 'oauthlib', 'pyrsistent', 'requests', 'six', 'urllib3', 'yaml'],
].map((name) => (name === 'cloud-init' ? name : `python3-${name}`));

/** Environment in which python3 has the distribution's cloud-init. Its packages are fetched once. */
export function cloudInitEnv(): NodeJS.ProcessEnv {
  const folder = path.join(cacheDir(), 'cloud-init-for-tests');
  const modules = path.join(folder, 'usr/lib/python3/dist-packages');
  if (!fs.existsSync(modules)) {
    fs.mkdirSync(path.dirname(folder), { recursive: true });
    const unfinished = fs.mkdtempSync(`${folder}-`);
    execFileSync('apt-get', ['download', '-q', ...PACKAGES], { cwd: unfinished, stdio: 'pipe' });
    for (const file of fs.readdirSync(unfinished).filter((name) => name.endsWith('.deb'))) {
      execFileSync('dpkg-deb', ['-x', file, '.'], { cwd: unfinished });
      fs.rmSync(path.join(unfinished, file));
    }
    fs.renameSync(unfinished, folder);
  }
  return { ...process.env, PYTHONPATH: modules };
}
