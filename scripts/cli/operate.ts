import type { EngineEvent } from '@pulumi/pulumi/automation';
import type { Context } from './context';
import { EngineFailure } from './engineErrors';
import { CliError, EXIT } from './errors';
import { Interruption } from './interrupt';
import type { Failure, Progress } from './progress';
import { redactor } from './redact';
import type { Operation, SiteStack } from './stack';
import { View } from './view';

export interface Operated<T> {
  result: T;
  progress: Progress;
  events: EngineEvent[];
}

export interface OperateArgs<T> {
  site: string;
  nodes: string[];
  /** `up`, as the message about a failure names it. */
  verb: string;
  secrets: readonly string[];
  run: (stack: SiteStack, operation: Operation) => Promise<T>;
  /** Default: true. */
  tellsSteps?: boolean;
  /** What to do after a failure. */
  next: string[];
}

/** Runs one operation of the engine, shown as it goes; a failure ends as one error that tells all that failed. */
export async function operate<T>(context: Context, stack: SiteStack, args: OperateArgs<T>): Promise<Operated<T>> {
  const redact = redactor(args.secrets);
  const view = new View(context, args.site, args.nodes, redact, args.tellsSteps);
  const interruption = new Interruption((text) => view.say(text));
  const events: EngineEvent[] = [];
  try {
    const result = await args.run(stack, {
      signal: interruption.signal,
      onEvent: (event) => {
        events.push(event);
        view.handle(event);
      },
      onOutput: (text) => {
        if (context.verbose) context.say(redact(text));
      },
    });
    return { result, progress: view.progress, events };
  } catch (error) {
    if (!(error instanceof EngineFailure)) throw error;
    const failures = view.progress.failures();
    const known = failures.length > 0 ? failures : [programFailure(args.site, redact(error.message))];
    const message = interruption.happened
      ? [`${args.verb} ${args.site} was stopped.`, ...failures.map(renderFailure), 'The next run carries on from here.']
      : [`${args.verb} ${args.site} failed.`, ...known.map(renderFailure), ...args.next];
    throw new CliError(message.join('\n'), EXIT.failed, { failures: interruption.happened ? failures : known });
  } finally {
    view.close();
    interruption.dispose();
  }
}

const programFailure = (node: string, message: string): Failure => ({ node, what: '', lines: message.split('\n') });

export function renderFailure(failure: Failure): string {
  const head = failure.what === '' ? failure.node : `${failure.node}, ${failure.what}`;
  return [`${head}:`, ...failure.lines.map((line) => `  ${line}`)].join('\n');
}
