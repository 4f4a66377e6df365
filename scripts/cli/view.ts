import type { EngineEvent } from '@pulumi/pulumi/automation';
import { create as createLogUpdate } from 'log-update';
import type { Context } from './context';
import { Progress, violationOf, type FinishedStep, type NodeLine } from './progress';
import type { Operation } from './resources';

const REFRESH_MILLISECONDS = 250;

const PAST: Record<Operation, string> = {
  same: 'unchanged',
  create: 'made',
  update: 'updated',
  replace: 'replaced',
  delete: 'removed',
  read: 'checked',
};

export const shownSeconds = (seconds: number) =>
  seconds < 60 ? `${Math.floor(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;

/** `cp1  node prep  updated  12 s`, one line of plain output. */
export function renderFinished(step: FinishedStep, width: number): string {
  const outcome = step.failed ? 'FAILED' : PAST[step.operation];
  return `${step.node.padEnd(width)}  ${step.what}: ${outcome} after ${shownSeconds(step.seconds)}`;
}

/** The live line of one machine, cut to the terminal so that it stays one line. */
export function renderLive(line: NodeLine, width: number, columns: number): string {
  const elapsed = line.running ? `  ${shownSeconds(line.seconds)}` : '';
  const mark = line.running ? '>' : line.failed ? '!' : ' ';
  const text = `${mark} ${line.node.padEnd(width)}  ${line.text}`;
  const room = Math.max(20, columns - elapsed.length - 1);
  return (text.length > room ? `${text.slice(0, room - 1)}…` : text) + elapsed;
}

/** Shows an operation while it runs: live lines where a person watches, one plain line a finished step elsewhere. */
export class View {
  readonly progress: Progress;
  private readonly live = createLogUpdate(process.stderr);
  private readonly width: number;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly context: Context,
    site: string,
    nodes: string[],
    private readonly redact: (text: string) => string,
    /** Whether finished steps are worth a line; those of a preview did not happen. */
    private readonly tellsSteps = true,
  ) {
    this.width = Math.max(site.length, ...nodes.map((node) => node.length));
    this.progress = new Progress({
      site,
      nodes,
      now: () => performance.now() / 1000,
      onFinished: (step) => this.finished(step),
      redact,
    });
    // The engine's own output and live lines would overwrite each other.
    if (context.terminal && !context.verbose) this.timer = setInterval(() => this.draw(), REFRESH_MILLISECONDS);
  }

  handle(event: EngineEvent): void {
    this.progress.handle(event);
    const violation = violationOf(event);
    if (violation !== undefined && !violation.isMandatory) this.say(violation.lines.join('\n'));
  }

  /** A line that stays, above the live ones. */
  say(text: string): void {
    if (this.timer !== undefined) this.live.clear();
    this.context.say(this.redact(text));
    if (this.timer !== undefined) this.draw();
  }

  close(): void {
    if (this.timer === undefined) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.live.clear();
    this.live.done();
  }

  private finished(step: FinishedStep): void {
    if (!this.tellsSteps || this.context.json || this.context.verbose) return;
    if (this.timer === undefined || step.failed) this.say(renderFinished(step, this.width));
  }

  private draw(): void {
    // 0 where the terminal does not say.
    const columns = process.stderr.columns || 80;
    const lines = this.progress.lines().map((line) => renderLive(line, this.width, columns));
    this.live(this.redact(lines.join('\n')));
  }
}
