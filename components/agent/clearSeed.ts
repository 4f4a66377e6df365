import { clearSeed as clearOnVcenter } from '../vcenter/clearSeed';
import { lentSession } from '../vcenter/lend';
import type { VcenterTrust } from '../vcenter/trust';
import type { RunOptions } from './awaitSsh';

/** Takes what a machine needed on its first start out of the configuration that its vCenter keeps. */
export interface ClearSeedRequest {
  kind: 'clear-seed';
  name: string;
  vcenter: VcenterTrust;
  /** Both null: the session that the command line lends. */
  user: string | null;
  password: string | null;
  /** BIOS UUID of the machine. */
  uuid: string;
  /** Of its extra configuration. */
  keys: string[];
}

export interface ClearSeedResult {
  kind: 'seed-cleared';
  name: string;
}

export async function clearSeed(request: ClearSeedRequest, opts: RunOptions): Promise<ClearSeedResult> {
  const { name, vcenter, user, password, uuid, keys } = request;
  opts.onProgress?.(`${name}: removes its private host key from ${vcenter.server}`);
  const credentials =
    user !== null && password !== null ? { user, password } : { session: lentSession(vcenter.server) };
  await clearOnVcenter(vcenter, credentials, uuid, keys);
  return { kind: 'seed-cleared', name };
}
