import { cachedBundles } from '../bundle/store';
import type { SiteBundle } from '../machines/bundle';
import { receiveBundleImageScript, type BundleClaim } from '../machines/bundleImageScript';
import { runScript } from '../ssh/script';
import type { SshTarget } from '../ssh/session';
import type { RunOptions } from './awaitSsh';
import { Arrived, mebibytes, resuming, sizeOf } from './transfer';

/** Brings the image of a bundle into the pool of a hypervisor behind SSH. */
export interface PlaceBundleImageRequest {
  kind: 'place-bundle-image';
  /** Name of the hypervisor in messages. */
  name: string;
  target: SshTarget;
  hypervisor: { name: string; uri: string; pool: string };
  bundle: SiteBundle;
  claim: BundleClaim;
}

export interface PlaceBundleImageResult {
  kind: 'bundle-image';
  name: string;
  /** 0: it was there. */
  sentBytes: number;
}

/** Throws what keeps the image from being there and whole: no space, another checksum, a connection that stays lost. */
export async function placeBundleImage(
  request: PlaceBundleImageRequest,
  opts: RunOptions,
): Promise<PlaceBundleImageResult> {
  const { name, hypervisor, bundle, claim } = request;
  const file = cachedBundles().isoPath(bundle.id);
  let isoBytes: number | undefined;
  const arrived = new Arrived(`copies the bundle to ${name}`, () => isoBytes ?? 0, opts);
  const script = (size: number, offset: number | null) =>
    receiveBundleImageScript(hypervisor, bundle, claim, { isoBytes: size, offset });

  return resuming(request.target, opts, async (session) => {
    isoBytes ??= await sizeOf(file);
    const answer = JSON.parse(await runScript(session, script(isoBytes, null), opts)) as { offset?: number };
    if (answer.offset !== undefined) {
      opts.onProgress?.(`copies the bundle to ${name}: ${mebibytes(isoBytes - answer.offset)}`);
      const input = arrived.read(file, answer.offset);
      await runScript(session, script(isoBytes, answer.offset), { ...opts, input });
    }
    return { kind: 'bundle-image', name, sentBytes: arrived.bytes };
  });
}
