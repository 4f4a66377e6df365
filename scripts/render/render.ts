import * as pulumi from '@pulumi/pulumi';
import { computePlan } from '../../components/plan';
import { loadSite, toProblems, type Problem } from '../../components/spec';
import { PROJECT } from '../cli/stack';
import { siteProgram } from '../../stacks/program';
import { makeDocument, type RenderDocument } from './document';
import { makeUp, plannedBundle, plannedLab, type MadeUp } from './madeUp';
import { recordProgram } from './monitor';
import { redactor } from './redact';
import { plannedVsphere } from './vsphere';

export interface RenderArgs {
  /** Folder of sites/, profiles/ and bundles/. */
  stacksDir: string;
  site: string;
  kitVersion: string;
}

export type RenderResult =
  { ok: true; document: RenderDocument; warnings: Problem[] } | { ok: false; problems: Problem[] };

/**
 * The desired state of a site: the real program, run against a monitor in this process. Needs no passphrase, no network, no
 * plugin, no bundle and no lab. One at a time in a process.
 */
export async function renderSite({ stacksDir, site, kitVersion }: RenderArgs): Promise<RenderResult> {
  const loaded = loadSite({ stacksDir, site, kitVersion });
  if (!loaded.ok) return { ok: false, problems: loaded.problems };
  const { plan, findings } = computePlan(loaded.spec, kitVersion);
  const warnings = toProblems(findings, loaded.source);
  if (plan === null) return { ok: false, problems: warnings };

  const madeUp = await makeUp(plan);
  const resources = await recordProgram(
    () => {
      pulumi.runtime.setAllConfig(madeUp.config, Object.keys(madeUp.config));
      return siteProgram({
        stacksDir,
        kitVersion,
        backendUrl: undefined,
        withLab: plannedLab,
        withBundle: plannedBundle,
        withVsphere: plannedVsphere,
      });
    },
    { preview: false, project: PROJECT, stack: site, answer: answersOf(madeUp) },
  );
  return {
    ok: true,
    warnings,
    document: makeDocument({ spec: loaded.spec, plan, resources, redact: redactor(madeUp.marks) }),
  };
}

/** What a command would have printed, as far as the program reads it. */
const answersOf =
  ({ stampId }: MadeUp) =>
  ({ name, type, inputs }: { name: string; type: string; inputs: Record<string, unknown> }) => {
    const id = `[id of ${name}]`;
    if (!type.startsWith('command:')) return { id, outputs: inputs };
    // All but the identity print JSON, and nothing of it decides about another resource.
    const stdout = name.endsWith('-identity') ? stampId : '{}';
    return { id, outputs: { ...inputs, stdout } };
  };
