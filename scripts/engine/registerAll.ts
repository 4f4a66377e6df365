import { isGrpcError } from '@pulumi/pulumi/errors';
import * as settings from '@pulumi/pulumi/runtime/settings';
import * as state from '@pulumi/pulumi/runtime/state';

/** Exported by the SDK and left out of its type declarations. */
export const sdk = { ...settings, ...state } as unknown as {
  awaitFeatureSupport(): Promise<void>;
  waitForRPCs(): Promise<void>;
  getStore(): { settings: { rpcDone: Promise<unknown> } };
};

/** What nothing in a program catches, such as an error inside of an `apply`. Hears it from its making to `dispose`. */
export class UncaughtErrors {
  /** Rejects with the first one, and never resolves. */
  readonly first: Promise<never>;
  private fail!: (error: unknown) => void;

  constructor() {
    this.first = new Promise((_resolve, reject) => (this.fail = reject));
    // Not everyone waits for it.
    this.first.catch(() => undefined);
    for (const name of UNCAUGHT) process.on(name, this.heard);
  }

  dispose(): void {
    for (const name of UNCAUGHT) process.off(name, this.heard);
  }

  private readonly heard = (error: unknown) => {
    // The SDK's own, when the engine ends first: the engine tells why.
    if (!(error instanceof Error && isGrpcError(error))) this.fail(error);
  };
}

const UNCAUGHT = ['unhandledRejection', 'uncaughtException'] as const;

/**
 * Runs a program until all that it makes is registered, or until the first error, which it throws. The SDK would wait
 * for ever after some: a resource whose inputs failed is never registered, and neither is what is below or after it.
 */
export async function registerAll<T>(program: () => T | Promise<T>, uncaught: UncaughtErrors): Promise<T> {
  const registered = async () => {
    const result = await program();
    await sdk.waitForRPCs();
    await toldUncaught();
    return result;
  };
  try {
    return await Promise.race([registered(), uncaught.first]);
  } catch (error) {
    // What else fails by now was heard and is no news.
    await toldUncaught();
    // The SDK waits for it once more before it hands the error on to the engine.
    sdk.getStore().settings.rpcDone = Promise.resolve();
    throw error;
  }
}

/** Node tells of unhandled rejections once the microtasks are done. */
const toldUncaught = () => new Promise((resolve) => setImmediate(resolve));
