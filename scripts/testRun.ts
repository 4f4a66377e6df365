import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/**
 * Runs every check of the project and counts them: `./scripts/test [--unit | --clusters | --long]`. Continuous integration has
 * time for the labs with a cluster too; what takes hours is for --long alone.
 * The unit tests and the end-to-end tests never run at once: two emulated machines take both cores.
 */

const kit = resolve(__dirname, '../..');
/** The end-to-end cases that must have run, one title a line: a case that silently vanished is a failure. */
const CASES_FILE = join(kit, 'test/e2e/cases.txt');

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

interface JestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numRuntimeErrorTestSuites: number;
  testResults: { assertionResults: { fullName: string; status: string }[] }[];
}

function node(args: string[], env: NodeJS.ProcessEnv = {}): boolean {
  const result = spawnSync(process.execPath, args, {
    cwd: kit,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  });
  return result.status === 0;
}

function check(title: string, args: string[]): Count {
  const ok = node(args);
  console.log(`${ok ? 'passed' : 'FAILED'}: ${title}`);
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 };
}

/** Of the end-to-end tests; each option runs what the one before it does, and its own. */
const LEVELS = ['e2e', 'clusters', 'long'] as const;
type Level = (typeof LEVELS)[number];
const OPTIONS = new Map<string, readonly Level[]>([
  ['--unit', []],
  ['--clusters', LEVELS.slice(0, 2)],
  ['--long', LEVELS],
]);

function jest(
  project: 'unit' | Level,
  scratch: string,
  env: NodeJS.ProcessEnv,
): { count: Count; report: JestReport | null } {
  const output = join(scratch, `${project}.json`);
  const workers = project === 'unit' ? '--maxWorkers=2' : '--runInBand';
  const ok = node(
    ['node_modules/jest/bin/jest.js', '--selectProjects', project, '--json', `--outputFile=${output}`, workers],
    env,
  );
  if (!existsSync(output)) return { count: { passed: 0, failed: 1, skipped: 0 }, report: null };
  const report = JSON.parse(readFileSync(output, 'utf8')) as JestReport;
  const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
  return {
    count: {
      passed: report.numPassedTests,
      // Jest can exit non-zero with no failed test (a crash after the last one): that is a failure too.
      failed: failed === 0 && !ok ? 1 : failed,
      skipped: report.numPendingTests,
    },
    report,
  };
}

function missingCases(reports: (JestReport | null)[], levels: readonly Level[]): string[] {
  const suites = reports.flatMap((report) => report?.testResults ?? []);
  const ran = new Set(suites.flatMap((suite) => suite.assertionResults.map((test) => test.fullName)));
  return readFileSync(CASES_FILE, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => /^(?:(clusters|long): )?(.*)$/.exec(line)!)
    .filter(([, level = 'e2e', title]) => levels.includes(level as Level) && !ran.has(title!))
    .map(([, , title]) => title!);
}

function main(argv: string[]): void {
  const levels = argv.length === 0 ? LEVELS.slice(0, 1) : OPTIONS.get(argv.join(' '));
  if (levels === undefined) {
    console.error(`not understood: ${argv.join(' ')}; allowed is one of: ${[...OPTIONS.keys()].join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'sitewright-test-'));
  const env = { NO_COLOR: '1' };
  const counts = [
    check('lint', ['node_modules/eslint/bin/eslint.js', '.']),
    check('format', ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level=warn', '.']),
    check('types of the tests', ['node_modules/typescript/bin/tsc', '-p', 'test/tsconfig.json']),
    check('engine and plugins', ['bin/scripts/engine/setup.js']),
    // Tests of both kinds run programs of it: a real API server, then a real cluster.
    check('bundle of the lab', ['bin/scripts/cli/main.js', 'bundle', 'build', 'lab']),
  ];
  try {
    counts.push(jest('unit', scratch, env).count);
    const runs = levels.map((level) => jest(level, scratch, env));
    const missing = missingCases(
      runs.map((run) => run.report),
      levels,
    );
    for (const title of missing) console.log(`FAILED: the end-to-end case did not run: ${title}`);
    counts.push(...runs.map((run) => run.count), { passed: 0, failed: missing.length, skipped: 0 });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const sum = (key: keyof Count) => counts.reduce((total, count) => total + count[key], 0);
  const skipped = sum('skipped') > 0 ? `, ${sum('skipped')} skipped` : '';
  console.log(`${sum('passed')} passed, ${sum('failed')} failed${skipped}`);
  process.exitCode = sum('failed') === 0 ? 0 : 1;
}

main(process.argv.slice(2));
