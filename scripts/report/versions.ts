import { html, type Html } from './html';
import type { Report } from './page';
import { dataTable, marked } from './parts';

/** What the site runs and for how long its projects mend it, as far as the kit knows a day. */
export function versions({ plan, kit, evidence, today }: Report): Html {
  const { cluster } = plan;
  const own = [['Sitewright', plan.kitVersion, `the site asks for ${kit}`, '–']];
  if (cluster === null) {
    return html`${table(own)}
      <p>The site names no Kubernetes version: it ends with proved machines.</p> `;
  }
  const { bundle, kubernetesVersion, supportedUntil } = cluster;
  const runs = evidence.kubernetesVersion;
  const note =
    runs === null
      ? 'planned; what runs is not known here'
      : runs === kubernetesVersion
        ? 'runs'
        : `planned, ${runs} runs`;
  const end = today > supportedUntil ? marked('bad', `ended on ${supportedUntil}`) : supportedUntil;
  return html`${table([
      ...own,
      ['Kubernetes', kubernetesVersion, note, end],
      ...bundle.components
        .filter(({ name }) => name !== 'kubernetes')
        .map(({ name, version }) => [name, version, `in the bundle ${bundle.name}`, '–']),
    ])}
    <p>
      Fixes of the others follow their own projects: the kit plans them with Kubernetes and knows no last day of theirs.
    </p> `;
}

const table = (rows: (string | Html)[][]) =>
  dataTable('Versions and support', ['component', 'version', 'note', 'supported until'], rows);
