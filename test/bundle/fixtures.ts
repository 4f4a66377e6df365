import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256OfText } from '../../components/bundle/checksum';
import { wantedArtifacts } from '../../components/bundle/contents';
import { LOCK_FILE, LOCK_SCHEMA_VERSION, type BundleLock } from '../../components/bundle/lock';
import { lockText } from '../../components/bundle/parse';
import type { BundleStore } from '../../components/bundle/store';
import type { BundlePlan } from '../../components/plan/clusterTypes';

/** What a site with Kubernetes 1.36.1 wants to be built from source. */
export function bundlePlan(from: BundlePlan['from'] = 'source'): BundlePlan {
  const repository = from === 'source' ? 'bundle.sitewright.internal' : 'registry.k8s.io';
  const image = (name: string) => `${repository}/${name}:v1.36.1`;
  return {
    from,
    name: `${from}-1.36.1`,
    components: [
      { name: 'cni-plugins', version: '1.9.1' },
      { name: 'containerd', version: '1.6.20' },
      { name: 'coredns', version: '1.14.7' },
      { name: 'cri-tools', version: '1.36.0' },
      { name: 'etcd', version: '3.6.5' },
      { name: 'kubernetes', version: '1.36.1' },
      { name: 'pause', version: '3.10.2' },
      { name: 'runc', version: '1.1.5' },
      ...(from === 'source' ? [{ name: 'toolbox' as const, version: 'bookworm' }] : []),
    ],
    imageRepository: repository,
    images: {
      'kube-apiserver': image('kube-apiserver'),
      'kube-controller-manager': image('kube-controller-manager'),
      'kube-scheduler': image('kube-scheduler'),
      'kube-proxy': image('kube-proxy'),
      etcd: `${repository}/etcd:3.6.5`,
      coredns: `${repository}${from === 'source' ? '' : '/coredns'}/coredns:v1.14.7`,
      pause: `${repository}/pause:3.10.2`,
      ...(from === 'source' ? { toolbox: `${repository}/toolbox:bookworm` } : {}),
    },
    manifests: [],
    packages: [],
  };
}

/** A lock with everything that the plan wants, whose files hold their own path. */
export function lockOf(plan: BundlePlan): BundleLock {
  return {
    schemaVersion: LOCK_SCHEMA_VERSION,
    name: plan.name,
    from: plan.from,
    artifacts: wantedArtifacts(plan).map((wanted) => ({
      ...wanted,
      source: 'a test',
      sha256: sha256OfText(wanted.path),
      sizeBytes: wanted.path.length,
      licence: 'Apache-2.0',
    })),
  };
}

/** Writes the bundle of a lock into a folder; gives its id. */
export function writeBundle(folder: string, lock: BundleLock): string {
  for (const { path } of lock.artifacts) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), path);
  }
  const text = lockText(lock);
  writeFileSync(join(folder, LOCK_FILE), text);
  return sha256OfText(text);
}

/** Puts the bundle of a lock into a store, with its image and under its name; gives its id. */
export function plantBundle(store: BundleStore, lock: BundleLock): string {
  const id = writeBundle(join(store.folder, 'new'), lock);
  renameSync(join(store.folder, 'new'), store.bundleFolder(id));
  writeFileSync(store.isoPath(id), 'iso');
  writeFileSync(`${store.isoPath(id)}.sha256`, sha256OfText('iso'));
  mkdirSync(join(store.folder, 'by-name'), { recursive: true });
  writeFileSync(join(store.folder, 'by-name', lock.name), id);
  return id;
}
