/**
 * A bundle is a folder of everything that a site installs, and a lock that pins each file of it by checksum:
 *
 *     bundle.lock.json     this lock; its sha256 is the id of the bundle
 *     bin/                 programs of the node: kubeadm, kubelet, kubectl, crictl, containerd, its shim, ctr, runc
 *     cni/                 CNI plugins, for /opt/cni/bin
 *     images/<name>.tar    container images that `ctr images import` reads, one reference each
 *     manifests/           release manifests of other projects
 *     packages/<name>/     packages of a distribution, such as debian-12, and their index as apt reads it
 *
 * The same files are an ISO image (label SITEWRIGHT, Rock Ridge) for machines that get the bundle as a disk.
 */
export const LOCK_FILE = 'bundle.lock.json';
export const LOCK_SCHEMA_VERSION = 1;

export interface BundleLock {
  schemaVersion: typeof LOCK_SCHEMA_VERSION;
  /** Such as source-1.36.1. */
  name: string;
  from: 'source' | 'upstream';
  /** Sorted by path. */
  artifacts: BundleArtifact[];
}

export interface BundleArtifact {
  /** Inside the bundle, with slashes, such as bin/kubeadm. */
  path: string;
  kind: 'binary' | 'cni-plugin' | 'image' | 'manifest' | 'package' | 'package-index';
  /** Component of the plan that it belongs to, such as kubernetes, or distribution; and the version of what it is. */
  component: string;
  version: string;
  /** Where it is from: a Go module with its version, a distribution package with its version, or a URL. */
  source: string;
  sha256: string;
  sizeBytes: number;
  /** SPDX expression. */
  licence: string;
  /** kind `image`: the reference that the image has on a node. */
  reference?: string;
  /** kind `package`: such as amd64, or all. */
  architecture?: string;
}

/** A bundle that is complete on the machine of the engine. `id` is the sha256 of its lock file. */
export interface Bundle {
  id: string;
  lock: BundleLock;
}
