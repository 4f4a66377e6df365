import { Command } from 'commander';
import { formatProblem } from '../../../components/spec';
import { documentText } from '../../render/document';
import { renderSite } from '../../render/render';
import { checkedOf, findingsOf } from '../../review/findings';
import { WORKTREE } from '../../review/revision';
import { tellFindings } from '../../review/tell';
import { contextOf, type Context } from '../context';
import { Ended, EXIT } from '../errors';
import { checkSiteName, refuseProblems } from '../site';

export function renderCommand(): Command {
  return new Command('render')
    .description('write everything that a site would be, as one document; reaches nothing')
    .argument('<site>')
    .addHelpText(
      'after',
      `
The files of every node, cloud-init, machine definitions, kubeadm documents, objects of Kubernetes and the plan, as the
real program makes them. It needs no passphrase, network, plugin or bundle, and holds no secret: each is a mark of its
kind. It knows nothing of the state: what differs from it is shown by preview and verify. Where \`validate\` refuses the site
for a rule or for another site, the document is written all the same, and the exit code is 2.

Examples:
  $ sitewright render acme-prod > acme-prod.json`,
    )
    .action((site: string, _options: unknown, command: Command) => render(contextOf(command), site));
}

async function render(context: Context, site: string): Promise<void> {
  checkSiteName(site);
  const { stacksDir, kitVersion } = context;
  const rendered = await renderSite({ stacksDir, site, kitVersion });
  if (!rendered.ok) throw refuseProblems(rendered.problems);
  for (const warning of rendered.warnings) context.say(formatProblem(warning));
  context.out(documentText(rendered.document));
  const revision = { label: WORKTREE, stacksDir, kit: { version: kitVersion } };
  const findings = findingsOf([{ before: null, after: checkedOf(rendered.document) }], revision, new Date());
  for (const line of tellFindings(findings)) context.say(line);
  if (findings.sites.some(({ errors }) => errors.length > 0)) throw new Ended(EXIT.badInput);
}
