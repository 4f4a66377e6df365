import * as k8s from '@pulumi/kubernetes';
import { removeCompiledPlugins, TestStack } from '../engine';
import { ApiServer } from './apiServer';

export interface Harness {
  readonly server: ApiServer;
  readonly stack: TestStack;
  /** A provider for the server, as a program of the kit would make one. */
  provider(args?: Partial<k8s.ProviderArgs>): k8s.Provider;
}

/** Gives the tests of a file one API server, its controllers and one stack; what a test makes is gone after it. */
export function useCluster(project: string): Harness {
  let server: ApiServer | undefined;
  let stack: TestStack | undefined;
  beforeAll(async () => {
    [server, stack] = await Promise.all([ApiServer.start(), TestStack.make(project)]);
    // Without them, what is deleted in the foreground would wait for ever.
    server.startControllers();
  });
  afterEach(() => stack?.stack.destroy());
  afterAll(async () => {
    await stack?.remove();
    await server?.stop();
    removeCompiledPlugins();
  });
  return {
    get server() {
      return server!;
    },
    get stack() {
      return stack!;
    },
    provider: (args = {}) =>
      new k8s.Provider('cluster', {
        kubeconfig: server!.kubeconfig(),
        clusterIdentifier: 'test',
        enableConfigMapMutable: true,
        enableSecretMutable: true,
        ...args,
      }),
  };
}
