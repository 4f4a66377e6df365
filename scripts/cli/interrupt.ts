/** What an operation of the engine leaves when it is ended at once. */
const OF_THE_ENGINE = 'Stopping: what is under way is finished first. Ctrl-C once more ends at once and leaves a lock.';

/**
 * Ctrl-C asks for an orderly end: the engine finishes what it is in the middle of, releases its lock and says what it
 * did. A second Ctrl-C ends at once; leaving makes callEngine interrupt the engine a second time, which stops it.
 */
export class Interruption {
  private readonly controller = new AbortController();
  private at = 0;

  constructor(
    private readonly say: (text: string) => void,
    private readonly sentence = OF_THE_ENGINE,
  ) {
    for (const name of SIGNALS) process.on(name, this.handle);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get happened(): boolean {
    return this.signal.aborted;
  }

  /** Gives the signals back. */
  dispose(): void {
    for (const name of SIGNALS) process.removeListener(name, this.handle);
  }

  private readonly handle = () => {
    if (!this.happened) {
      this.at = performance.now();
      this.say(this.sentence);
      this.controller.abort();
      return;
    }
    // A terminal and the process that started us can both deliver one and the same Ctrl-C.
    if (performance.now() - this.at < SAME_CTRL_C_MILLISECONDS) return;
    process.exit(1);
  };
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const SAME_CTRL_C_MILLISECONDS = 500;
