import type { ManifestObject } from '../../../components/network/manifest';
import { type ApiServer, until } from './apiServer';

/** Sends objects of any kind to a real API server, which says whether it would take them: unknown fields are refused. */
export class DryRun {
  private readonly lists = new Map<string, { plural: string; namespaced: boolean }>();

  constructor(private readonly server: ApiServer) {}

  /** Throws what the server has against it; nothing is kept. */
  async apply(object: ManifestObject) {
    return this.patch(object, '&dryRun=All&fieldValidation=Strict');
  }

  /** For good: what others lie in, or are of. */
  async make(object: ManifestObject) {
    return this.patch(object, '');
  }

  /** Definitions of kinds, and namespaces, for good; waits until the kinds are there. */
  async makeKinds(kinds: ManifestObject[]): Promise<void> {
    for (const object of kinds) await this.make(object);
    await until('the kinds', async () => {
      const names = kinds
        .filter(({ kind }) => kind === 'CustomResourceDefinition')
        .map(({ metadata }) => metadata.name);
      const found = await Promise.all(
        names.map((name) => this.server.find(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`)),
      );
      return found.every((one) =>
        (one?.status?.conditions as { type: string; status: string }[] | undefined)?.some(
          ({ type, status }) => type === 'Established' && status === 'True',
        ),
      );
    });
  }

  private async patch(object: ManifestObject, options: string) {
    const path = await this.pathOf(object);
    return this.server.done(
      'PATCH',
      `${path}?fieldManager=test&force=true${options}`,
      object,
      'application/apply-patch+yaml',
    );
  }

  /** By what the server says of its kinds. */
  private async pathOf({ apiVersion, kind, metadata }: ManifestObject): Promise<string> {
    const base = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
    if (!this.lists.has(`${base} ${kind}`)) {
      const { resources } = await this.server.done('GET', base);
      for (const { name, kind: each, namespaced } of resources as {
        name: string;
        kind: string;
        namespaced: boolean;
      }[]) {
        if (!name.includes('/')) this.lists.set(`${base} ${each}`, { plural: name, namespaced });
      }
    }
    const found = this.lists.get(`${base} ${kind}`);
    if (found === undefined) throw new Error(`the API server has no ${kind} of ${apiVersion}`);
    const place = found.namespaced ? `/namespaces/${metadata.namespace}` : '';
    return `${base}${place}/${found.plural}/${metadata.name}`;
  }
}
