import type { Context } from './context';
import { failed } from './errors';

export async function rotateSshKey(_context: Context, site: string): Promise<void> {
  throw failed(`secrets rotate ${site} ssh-key`);
}
