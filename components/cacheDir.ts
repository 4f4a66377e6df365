import * as os from 'node:os';
import * as path from 'node:path';

/**
 * Where everything lies that can be made again: `$XDG_CACHE_HOME/sitewright`, `~/.cache/sitewright` by default. For root it
 * is root's own, also under `sudo -E`, where HOME is another user's: files of root there would lock that user out.
 */
export function cacheDir(): string {
  const home = process.getuid?.() === 0 ? os.userInfo().homedir : os.homedir();
  return path.join(process.env.XDG_CACHE_HOME || path.join(home, '.cache'), 'sitewright');
}
