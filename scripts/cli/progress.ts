import type { EngineEvent } from '@pulumi/pulumi/automation';
import { labelOf, nameOf, OPERATIONS, stepOf, type Operation, type ResourceLabel, type Step } from './resources';

/** What went wrong with one resource, or with the program (`what` is empty then). */
export interface Failure {
  node: string;
  what: string;
  lines: string[];
}

export interface FinishedStep {
  node: string;
  what: string;
  operation: Operation;
  failed: boolean;
  seconds: number;
}

export interface NodeLine {
  node: string;
  /** What runs, or what was finished last. */
  text: string;
  running: boolean;
  failed: boolean;
  /** Of the step that runs; 0 where none does. */
  seconds: number;
}

export interface ProgressOptions {
  site: string;
  nodes: string[];
  /** Seconds since any fixed moment. */
  now: () => number;
  onFinished?: (step: FinishedStep) => void;
  /** Blanks secrets out of what resources say. Default: nothing is blanked. */
  redact?: (text: string) => string;
}

interface Running extends ResourceLabel {
  step: Step;
  since: number;
  /** What the resource says it is doing; its operation where it says nothing. */
  text: string;
}

const DOING: Record<string, string> = {
  create: 'making',
  update: 'updating',
  delete: 'removing',
  'delete-replaced': 'removing the old one',
  'create-replacement': 'making the new one',
  replace: 'replacing',
  read: 'reading',
  refresh: 'checking',
};

/** How many of a failed resource's last lines are kept. */
const FAILURE_LINES = 15;
/** How much of what a resource says is remembered until it ends. */
const REMEMBERED_LINES = 40;

/** Messages that say no more than that something else, told beside them, went wrong. */
const NOISE = [
  /^(update|preview|destroy|refresh) (failed|canceled)$/,
  /^resource monitor shut ?down/i,
  /^\d+ errors? occurred:?$/,
  /^Running program .* failed with an unhandled exception/,
  /^at .*(node:|\.js|\.ts)/,
  /^one or more operations failed/i,
  // What ran is always this; what it said comes in the lines after it.
  /^exit status \d+: running "?exec (bash|node).*$/,
];

// eslint-disable-next-line no-control-regex
const COLOURS = /<\{%[^%]*%\}>|\x1b\[[0-9;]*[A-Za-z]/g;

/** How a resource says what it is doing; see the scripts of the machines and nodes. */
const STEP = /^\s*step: (.+)$/;

/** As every error that is no mistake of the user's is told. */
const unexpected = (message: string) => `unexpected error: ${message} (--verbose shows where)`;

/** Without what the SDK puts before the message of an error of the program. */
function unwrapped(line: string): string {
  const message = line.replace(/^(Unhandled exception: (\w+: )?)?(error serializing property "[^"]*": )*/, '');
  return line.startsWith('Unhandled exception: ') ? unexpected(message) : message;
}

const linesOf = (message: string) =>
  message
    .replace(COLOURS, '')
    .split('\n')
    .map((line) => unwrapped(line.trimEnd()))
    .filter((line) => line.trim() !== '' && !NOISE.some((noise) => noise.test(line.trim())));

/** What the program or the engine says as a whole belongs to no resource. */
const ownerOf = (urn: string | undefined) => (urn === undefined || urn.includes('::pulumi:pulumi:Stack::') ? '' : urn);

/** What a policy pack says of a resource, or of the whole where the URN is empty. */
export interface Violation {
  urn: string;
  isMandatory: boolean;
  lines: string[];
}

export function violationOf({ policyEvent }: EngineEvent): Violation | undefined {
  if (policyEvent === undefined) return undefined;
  const { policyName, policyPackName, resourceUrn, enforcementLevel, message } = policyEvent;
  const [first = '', ...more] = linesOf(message);
  return {
    urn: ownerOf(resourceUrn),
    isMandatory: enforcementLevel === 'mandatory',
    lines: [`policy ${policyName} of ${policyPackName}: ${first.trim()}`, ...more],
  };
}

/** Of the steps that a resource told, only the last is where it failed. */
function lastSteps(lines: string[]): string[] {
  const last = lines.map((line) => STEP.test(line)).lastIndexOf(true);
  return lines.flatMap((line, index) =>
    STEP.test(line) ? (index === last ? [`last step: ${STEP.exec(line)![1]}`] : []) : [line],
  );
}

/** Turns the engine's events into what each machine is doing, what is done, and what went wrong. */
export class Progress {
  private readonly running = new Map<string, Running>();
  private readonly lastFinished = new Map<string, { text: string; failed: boolean }>();
  private readonly said = new Map<string, string[]>();
  private readonly errors = new Map<string, string[]>();
  private readonly operations = new Map<string, Operation>();
  private readonly failedUrns = new Set<string>();

  constructor(private readonly options: ProgressOptions) {}

  handle(event: EngineEvent): void {
    if (event.resourcePreEvent) this.begin(stepOf(event.resourcePreEvent.metadata));
    if (event.resOutputsEvent) this.end(event.resOutputsEvent.metadata.urn, event.resOutputsEvent.metadata.op, false);
    if (event.resOpFailedEvent) this.end(event.resOpFailedEvent.metadata.urn, event.resOpFailedEvent.metadata.op, true);
    if (event.diagnosticEvent) this.diagnose(event.diagnosticEvent);
    const violation = violationOf(event);
    if (violation?.isMandatory) this.addErrors(violation.urn, violation.lines);
  }

  /** One line a machine in the order of the site, and one for the site itself while it does something. */
  lines(): NodeLine[] {
    const { site, nodes, now } = this.options;
    return [...nodes, site]
      .map((node): NodeLine => {
        const runs = [...this.running.values()].filter((entry) => entry.node === node);
        const current = runs[runs.length - 1];
        if (current !== undefined) {
          const more = runs.length > 1 ? ` (and ${runs.length - 1} more)` : '';
          const text = `${current.what}: ${current.text}${more}`;
          return { node, text, running: true, failed: false, seconds: now() - current.since };
        }
        const last = this.lastFinished.get(node);
        return { node, text: last?.text ?? 'waiting', running: false, failed: last?.failed === true, seconds: 0 };
      })
      .filter((line) => line.node !== site || line.running);
  }

  /** How many resources each operation was done to. */
  counts(): Record<Operation, number> {
    const counts = Object.fromEntries(OPERATIONS.map((operation) => [operation, 0])) as Record<Operation, number>;
    for (const operation of this.operations.values()) counts[operation] = (counts[operation] ?? 0) + 1;
    return counts;
  }

  /** Each failed resource once, with the last lines it said. */
  failures(): Failure[] {
    const urns = new Set([...this.failedUrns, ...this.errors.keys()]);
    const failures = [...urns].map((urn): Failure => {
      const errors = this.errors.get(urn) ?? [];
      const known = new Set(errors.map((line) => line.trim()));
      const before = (this.said.get(urn) ?? []).filter((line) => !known.has(line.trim()));
      const { node, what } = urn === '' ? { node: this.options.site, what: '' } : this.label(urn);
      // The program's error comes twice: once as nobody caught it, and once as its end.
      const isNews = (line: string, index: number, all: string[]) =>
        all.indexOf(line) === index && !all.includes(unexpected(line));
      const lines = lastSteps([...before, ...errors]).filter(isNews);
      return { node, what, lines: lines.slice(-FAILURE_LINES) };
    });
    return failures.filter((failure) => failure.what !== '' || failure.lines.length > 0);
  }

  private label(urn: string): ResourceLabel {
    return labelOf(nameOf(urn), this.options.site, this.options.nodes);
  }

  private begin(step: Step | undefined): void {
    if (step === undefined) return;
    // Both halves of a replacement come by; neither takes the whole back to less.
    if (this.operations.get(step.urn) !== 'replace') this.operations.set(step.urn, step.operation);
    if (step.operation === 'same' || step.engineStep === 'replace') return;
    const text = DOING[step.engineStep] ?? step.engineStep;
    this.running.set(step.urn, { ...this.label(step.urn), step, since: this.options.now(), text });
  }

  private end(urn: string, engineStep: string, failed: boolean): void {
    if (failed) this.failedUrns.add(urn);
    const entry = this.running.get(urn);
    if (entry === undefined) return;
    this.running.delete(urn);
    const seconds = this.options.now() - entry.since;
    const text = failed ? `${entry.what}: failed` : `${entry.what}: done`;
    this.lastFinished.set(entry.node, { text, failed });
    // The old half of a replacement is not what a person waits for.
    if (engineStep === 'delete-replaced' && !failed) return;
    const { node, what } = entry;
    this.options.onFinished?.({ node, what, operation: entry.step.operation, failed, seconds });
  }

  private addErrors(urn: string, lines: string[]): void {
    this.errors.set(urn, [...(this.errors.get(urn) ?? []), ...lines]);
  }

  private diagnose(event: NonNullable<EngineEvent['diagnosticEvent']>): void {
    // The SDK's type leaves `debug` out; the engine sends it, and plenty.
    if ((event.severity as string) === 'debug') return;
    const lines = linesOf(this.options.redact?.(event.message) ?? event.message);
    const urn = ownerOf(event.urn);
    if (event.severity === 'error') {
      this.addErrors(urn, lines);
      return;
    }
    if (urn === '') return;
    for (const line of lines) {
      const step = STEP.exec(line);
      const entry = this.running.get(urn);
      if (step !== null && entry !== undefined) entry.text = step[1];
    }
    this.said.set(urn, [...(this.said.get(urn) ?? []), ...lines].slice(-REMEMBERED_LINES));
  }
}
