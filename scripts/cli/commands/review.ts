import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { BUDGET_BYTES, reviewMarkdown } from '../../review/markdown';
import { Renderer } from '../../review/renderer';
import { exitCodeOf, reviewSites } from '../../review/review';
import { openRevision, WORKTREE } from '../../review/revision';
import { contextOf, printJson, shownPath, type Context } from '../context';
import { badInput, Ended } from '../errors';

interface Options {
  base: string;
  head: string;
  report?: string;
  sameKit?: boolean;
}

export function reviewCommand(): Command {
  return new Command('review')
    .description('say in one report what a change of the files means for every site that it touches')
    .requiredOption('--base <ref>', 'commit, branch or tag that the change is merged into')
    .option('--head <ref>', 'commit, branch or tag, or `worktree` for the files as they are', WORKTREE)
    .option('--report <file>', 'also write the full report, whatever its size')
    .option('--same-kit', 'see both sides with the kit that runs, also where the base has another one')
    .addHelpText(
      'after',
      `
Prints Markdown that fits into a comment (64 KiB); what is too large is left out and said so. The first line is a marker, by
which a later run finds the comment and replaces it: examples/ci has workflows. No site is reached, no secret is read.

Exit codes: 0 no change, 10 changes, 11 a disruptive change, a replacement or a deletion is among them, 1 failed, 2 bad
input: a site cannot be read, breaks a rule that counts as an error, has an exception whose day is over, or does not fit
the sites that it is joined with (the others are reviewed all the same). Other findings are told where they are new.

Examples:
  $ sitewright review --base origin/main > comment.md
  $ sitewright review --base v0.1.0 --head v0.2.0 --report report.md`,
    )
    .action((options: Options, command: Command) => review(contextOf(command), options));
}

async function review(context: Context, { base, head, report, sameKit = false }: Options): Promise<void> {
  const from = await openRevision(context, base, { sameKit });
  const to = await openRevision(context, head, { sameKit });
  const renderer = new Renderer();
  try {
    const found = await reviewSites(renderer, from, to, new Date());
    if (report !== undefined) save(report, reviewMarkdown(found));
    if (context.json) printJson(context, found);
    else context.out(reviewMarkdown(found, BUDGET_BYTES));
    const code = exitCodeOf(found);
    if (code !== 0) throw new Ended(code);
  } finally {
    renderer.close();
  }
}

function save(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw badInput(`--report ${shownPath(file)}: ${(error as Error).message}`);
  }
}
