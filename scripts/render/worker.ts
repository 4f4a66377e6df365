import { renderSite, type RenderArgs, type RenderResult } from './render';

/**
 * A process that renders one site after another for the one that started it: the SDK keeps its settings for a whole process,
 * so that no two can be rendered in one at once.
 */
export interface WorkerRequest extends RenderArgs {
  id: number;
}

export type WorkerAnswer = { id: number } & ({ result: RenderResult } | { error: string });

if (require.main === module) {
  let before: Promise<void> = Promise.resolve();
  process.on('message', ({ id, ...args }: WorkerRequest) => {
    before = before.then(async () => {
      const answer: WorkerAnswer = await renderSite(args).then(
        (result) => ({ id, result }),
        (error: unknown) => ({ id, error: error instanceof Error ? error.message : String(error) }),
      );
      process.send!(answer);
    });
  });
  // The one that started it is gone.
  process.on('disconnect', () => process.exit(0));
}
