import type { ApiServer } from './apiServer';

/* eslint-disable @typescript-eslint/no-explicit-any */

/** Does with the pods of a namespace, or of all (null), what kubelets would tell about them: bound, running and ready, gone. */
export class FakeKubelet {
  private stopped = false;
  private readonly done: Promise<void>;

  /** @param nodes their names; a pod that nothing binds goes to the first. */
  constructor(
    private readonly api: ApiServer,
    private readonly namespace: string | null,
    private readonly nodes: string[],
  ) {
    this.done = this.run();
  }

  private async run(): Promise<void> {
    for (const name of this.nodes) {
      await this.api.done('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    }
    while (!this.stopped) {
      const pods: any[] =
        (await this.api.find(`/api/v1${this.namespace === null ? '' : `/namespaces/${this.namespace}`}/pods`))?.items ??
        [];
      // A pod can be gone, or changed by a controller, between the look and the touch: the next round sees it.
      for (const pod of pods) await this.handle(pod).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  private async handle({ metadata, spec, status }: any): Promise<void> {
    const path = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`;
    if (metadata.deletionTimestamp !== undefined) {
      await this.api.done('DELETE', `${path}?gracePeriodSeconds=0`);
    } else if (spec.nodeName === undefined) {
      const target = { apiVersion: 'v1', kind: 'Node', name: this.nodes[0] };
      const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: metadata.name }, target };
      await this.api.done('POST', `${path}/binding`, binding);
    } else if (!status.conditions?.some(({ type, status: value }: any) => type === 'Ready' && value === 'True')) {
      const address = { podIP: '192.0.2.1', podIPs: [{ ip: '192.0.2.1' }] };
      const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: metadata.creationTimestamp }];
      await this.api.edit(`${path}/status`, { status: { phase: 'Running', conditions, ...address } });
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.done;
  }
}
