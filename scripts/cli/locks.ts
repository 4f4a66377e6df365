import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SitePlan } from '../../components/plan';
import { backendFolder } from './backend';
import { lockText, type LockHolder } from './engineErrors';
import { failed } from './errors';

/** Holders of the lock of a site in a file backend; null for a shared backend, which shows its locks to nobody. */
export function readLocks(backendUrl: string, site: string): LockHolder[] | null {
  const folder = backendFolder(backendUrl);
  if (folder === undefined) return null;
  const locks = join(folder, '.pulumi/locks/organization/sitewright', site);
  let files: string[];
  try {
    files = readdirSync(locks);
  } catch {
    return [];
  }
  return files.filter((file) => file.endsWith('.json')).flatMap((file) => readLock(join(locks, file)));
}

function readLock(file: string): LockHolder[] {
  try {
    const lock = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string | number>;
    const { username, hostname, pid, timestamp } = lock;
    return [{ user: String(username), host: String(hostname), pid: Number(pid), since: String(timestamp) }];
  } catch {
    // Released between the listing and the look.
    return [];
  }
}

/** Refuses before anything is done while another run holds the state. The engine checks again when it takes the lock. */
export function refuseLocked({ backendUrl, site }: Pick<SitePlan, 'backendUrl' | 'site'>): void {
  const locks = readLocks(backendUrl, site) ?? [];
  if (locks.length > 0) throw failed(lockText(site, locks));
}
