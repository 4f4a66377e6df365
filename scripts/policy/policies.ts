import { checkRules, computePlan } from '../../components/plan';
import { formatProblem, listSites, loadSite, toProblems, type Problem } from '../../components/spec';
import { holdsPrivateKey } from '../../components/spec/problem';
import { RULE_TEXTS, RULES, type RuleName } from '../../components/spec/rulesSchema';

/** As `@pulumi/policy` takes them: that package is there where a pack runs, and nothing else of the kit needs it. */
export interface Policy {
  name: string;
  description: string;
  /** `mandatory` stops the engine. */
  enforcementLevel: 'mandatory' | 'advisory';
  /** Asked once, when the program has registered everything. */
  validateStack?(stack: { resources: { urn: string }[] }, report: Report): void;
  /** Asked for each resource. Reading a property whose value is not known before `up` throws. */
  validateResource?(resource: { type: string; props: Record<string, unknown> }, report: Report): void;
}

type Report = (message: string) => void;

/** What a rule says of a site, with its place in the files. */
export type RuleProblem = Problem & { rule: RuleName };

export interface SiteFiles {
  /** Folder of sites/ and profiles/. */
  stacksDir: string;
  kitVersion: string;
  /** Day in UTC, such as 2026-11-21: tells whether a version is supported and an exception holds. */
  today: string;
}

/** Nothing where the stack is no site of this folder, or its files are not valid, which the program itself refuses. */
export function ruleProblemsOf({ stacksDir, kitVersion, today }: SiteFiles, site: string): RuleProblem[] {
  if (!listSites(stacksDir).includes(site)) return [];
  const loaded = loadSite({ stacksDir, site, kitVersion });
  const plan = loaded.ok ? computePlan(loaded.spec, kitVersion).plan : null;
  if (!loaded.ok || plan === null) return [];
  const findings = checkRules({ spec: loaded.spec, plan, today });
  return toProblems(findings, loaded.source).map((problem, index) => ({ ...problem, rule: findings[index]!.rule }));
}

/**
 * The rules of the site files as policies, and two about what only the engine sees: the resources of any program.
 * The engine knows one level for each policy, a site has its own for each rule: so each rule is two policies.
 * @param problemsOf what the rules say of a stack; asked once for each policy
 */
export const policies = (problemsOf: (stack: string) => RuleProblem[]): Policy[] => [
  ...RULES.flatMap((rule) =>
    (['error', 'warning'] as const).map((severity): Policy => ({
      name: severity === 'error' ? rule : `${rule}-warning`,
      description: RULE_TEXTS[rule],
      enforcementLevel: severity === 'error' ? 'mandatory' : 'advisory',
      validateStack: ({ resources }, report) => {
        for (const problem of problemsOf(stackOf(resources[0]?.urn ?? '')))
          if (problem.rule === rule && problem.severity === severity) report(formatProblem(problem));
      },
    })),
  ),
  pinnedHostKeys,
  plainKeys,
];

/** `urn:pulumi:<stack>::<project>::<types>::<name>`. */
const stackOf = (urn: string) => urn.split(':')[2] ?? '';

interface Connection {
  host?: unknown;
  hostKey?: unknown;
}

const pinnedHostKeys: Policy = {
  name: 'pinned-host-keys',
  description: 'Every command over SSH names the host key that it expects, of the jump host too.',
  enforcementLevel: 'mandatory',
  validateResource: ({ type, props }, report) => {
    if (!type.startsWith('command:remote:')) return;
    const { connection } = props as { connection?: Connection & { proxy?: Connection } };
    for (const [name, one] of [
      ['connection', connection],
      ['connection.proxy', connection?.proxy],
    ] as const) {
      if (one === undefined || (typeof one.hostKey === 'string' && one.hostKey !== '')) continue;
      report(`${name}.hostKey is missing: without it any machine at that address is trusted`);
    }
  },
};

/** What the providers keep as a secret by itself, or what is meant to hold a key. */
const SECRET_PROPERTIES = new Set(['stdin', 'connection', 'stringData', 'kubeconfig']);

const plainKeys: Policy = {
  name: 'plain-keys',
  description: 'No private key stands where the engine stores and shows it in plain text.',
  enforcementLevel: 'mandatory',
  validateResource: ({ type, props }, report) => {
    const isSecret = type === 'kubernetes:core/v1:Secret';
    for (const name of Object.keys(props)) {
      if (SECRET_PROPERTIES.has(name) || (isSecret && name === 'data')) continue;
      if (holdsPrivateKey(textOf(props, name)))
        report(`${name} holds a private key in plain text: pass it by stdin or as a secret of the stack`);
    }
  },
};

/** Empty for what is not known before `up`, which looks again. */
function textOf(props: Record<string, unknown>, name: string): string {
  try {
    return JSON.stringify(props[name]) ?? '';
  } catch {
    return '';
  }
}
