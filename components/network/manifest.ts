import { parseAllDocuments } from 'yaml';
import type { KubeDocument } from '../plan/clusterTypes';

/** Release manifests of other projects, as parsed objects. */

/** An object of a manifest, as far as it is looked into. */
export interface ManifestObject extends KubeDocument {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

/** What a manifest lacks, every place at once. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';

  constructor(
    readonly file: string,
    readonly problems: string[],
  ) {
    super(
      `${file} is not a manifest that this kit knows; nothing of it is applied:\n${problems.map((line) => `  ${line}`).join('\n')}`,
    );
  }
}

/** The objects of a manifest, in its order. */
export function parseManifest(file: string, text: string): ManifestObject[] {
  const documents = parseAllDocuments(text);
  const problems = documents.flatMap(({ errors }) => errors.map(({ message }) => message.split('\n')[0]));
  if (problems.length > 0) throw new ManifestError(file, problems);
  return documents.map((document) => document.toJS() as ManifestObject | null).filter((object) => object !== null);
}

/** What defines kinds, what others refer to, and what runs pods. */
export function inStages(objects: ManifestObject[]) {
  const isKind = ({ kind }: ManifestObject) => kind === 'CustomResourceDefinition' || kind === 'Namespace';
  const runs = ({ kind }: ManifestObject) => kind === 'DaemonSet' || kind === 'Deployment';
  return {
    kinds: objects.filter(isKind),
    basis: objects.filter((object) => !isKind(object) && !runs(object)),
    workloads: objects.filter(runs),
  };
}
