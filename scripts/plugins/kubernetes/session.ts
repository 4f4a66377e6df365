import { ApiClient } from './client';
import { Cluster } from './cluster';
import type { Settings } from './configuration';
import type { ResourceType } from './token';
import { isBuiltInNamespaced } from './token';

/** One configured provider: its settings, and the cluster they lead to. */
export class Session {
  private connected: Cluster | undefined;

  constructor(readonly settings: Settings) {}

  /** @throws Error where the kubeconfig is not known yet. */
  get cluster(): Cluster {
    if (!this.settings.connection) throw new Error("the provider's kubeconfig is not known yet");
    this.connected ??= new Cluster(new ApiClient(this.settings.connection));
    return this.connected;
  }

  /** Whether objects of the kind lie in namespaces; undefined where nobody can tell (yet). */
  async isNamespaced(signal: AbortSignal, type: ResourceType): Promise<boolean | undefined> {
    const known = isBuiltInNamespaced(type);
    if (known !== undefined) return known;
    try {
      return (await this.cluster.api(signal, type)).namespaced;
    } catch {
      // No such kind or no API server: whoever needs the object will meet the same error, and report it.
      return undefined;
    }
  }
}
