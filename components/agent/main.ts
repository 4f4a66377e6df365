import { text } from 'node:stream/consumers';
import type { AgentRequest, AgentResult } from './request';
import { runRequest } from './request';

export { runRequest, type AgentRequest, type AgentResult } from './request';

/**
 * The engine-side agent: one JSON request on stdin, steps on stderr, the result as JSON on stdout. Exit code 1 and one
 * line per problem on stderr where the request failed, a failed proof included: that is what stops the engine.
 */
export async function main(): Promise<void> {
  const cancel = new AbortController();
  const onSignal = () => cancel.abort(new Error('cancelled'));
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  try {
    const request = JSON.parse(await text(process.stdin)) as AgentRequest;
    const onProgress = (step: string) => process.stderr.write(`step: ${step}\n`);
    const result = await runRequest(request, { signal: cancel.signal, onProgress });
    process.stdout.write(`${JSON.stringify(result)}\n`);
    for (const line of problems(result)) process.stderr.write(`${line}\n`);
    process.exitCode = failed(result) ? 1 : 0;
  } catch (error) {
    for (const line of messages(error)) process.stderr.write(`${line}\n`);
    process.exitCode = 1;
  } finally {
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  }
}

function failed(result: AgentResult): boolean {
  return 'findings' in result && result.findings.some(({ severity }) => severity === 'error');
}

function problems(result: AgentResult): string[] {
  if (!('findings' in result)) return [];
  return result.findings
    .filter(({ severity }) => severity !== 'info')
    .map(({ severity, probe, where, message }) => `${severity} ${probe} ${where}: ${message}`);
}

function messages(error: unknown): string[] {
  if (error instanceof AggregateError) return error.errors.flatMap(messages);
  // The parser's message quotes its input, which holds keys.
  if (error instanceof SyntaxError) return ['the request is not JSON'];
  return [error instanceof Error ? error.message : String(error)];
}
