/** The bundle of a site, complete in the cache of the machine of the engine. */
export interface SiteBundle {
  /** sha256 of its lock file. */
  id: string;
  /** Of its ISO image: what a hypervisor checks before machines get it. */
  isoSha256: string;
}

/** Where machines of hypervisors have the bundle: the disk's serial makes this path. */
export const BUNDLE_DEVICE = '/dev/disk/by-id/virtio-bundle';

/** On machines that the kit did not make; each bundle is a folder in it, named by its id. */
export const BUNDLES_DIRECTORY = '/var/lib/sitewright/bundles';

/** Name of the image in the pool of a hypervisor. */
export function bundleImageName(id: string): string {
  return `sitewright-bundle-${id.slice(0, 16)}.iso`;
}
