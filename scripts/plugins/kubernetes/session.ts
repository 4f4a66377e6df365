import { ApiClient, UnreachableError } from './client';
import { Cluster } from './cluster';
import type { Settings } from './configuration';
import { isBuiltInNamespaced, type ResourceType } from './token';

/** So long, a preview does not ask an API server again that did not answer: a plan of fifty objects would wait fifty times. */
const unreachableMemoryMs = 60_000;

/** One configured provider: its settings, and the cluster they lead to. */
export class Session {
  private connected: Cluster | undefined;
  private unreachable: { error: UnreachableError; at: number } | undefined;

  constructor(readonly settings: Settings) {}

  /** @throws Error where the kubeconfig is not known yet. */
  get cluster(): Cluster {
    if (!this.settings.connection) throw new Error("the provider's kubeconfig is not known yet");
    this.connected ??= new Cluster(new ApiClient(this.settings.connection));
    return this.connected;
  }

  /**
   * A look at the cluster that can be done without.
   * @throws UnreachableError, at once where the API server was found to be away a moment ago.
   */
  async look<T>(work: (cluster: Cluster) => Promise<T>): Promise<T> {
    if (this.unreachable && Date.now() - this.unreachable.at < unreachableMemoryMs) throw this.unreachable.error;
    try {
      return await work(this.cluster);
    } catch (error) {
      if (error instanceof UnreachableError) this.unreachable = { error, at: Date.now() };
      throw error;
    }
  }

  /** Whether objects of the kind lie in namespaces; undefined where nobody can tell (yet). */
  async isNamespaced(signal: AbortSignal, type: ResourceType): Promise<boolean | undefined> {
    const known = isBuiltInNamespaced(type);
    if (known !== undefined) return known;
    try {
      return (await this.look((cluster) => cluster.api(signal, type))).namespaced;
    } catch {
      // No such kind or no API server: whoever needs the object will meet the same error, and report it.
      return undefined;
    }
  }
}
