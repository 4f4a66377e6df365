import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findKitDir } from '../cli/context';
import { policies, ruleProblemsOf, type Policy, type RuleProblem } from './policies';

/**
 * The policies of a run: `pulumi preview --policy-pack scripts/policy`, or `sitewright preview` with the same option.
 * Environment: SITEWRIGHT_STACKS_DIR, as for the program (default: stacks/ of the kit).
 */
export function packPolicies(): Policy[] {
  const kit = findKitDir();
  const { version } = JSON.parse(readFileSync(join(kit, 'package.json'), 'utf8')) as { version: string };
  const files = {
    stacksDir: process.env.SITEWRIGHT_STACKS_DIR ?? join(kit, 'stacks'),
    kitVersion: version,
    today: new Date().toISOString().slice(0, 10),
  };
  const read = new Map<string, RuleProblem[]>();
  return policies((stack) => {
    const problems = read.get(stack) ?? ruleProblemsOf(files, stack);
    read.set(stack, problems);
    return problems;
  });
}
