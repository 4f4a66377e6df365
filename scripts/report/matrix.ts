import type { NodePlan } from '../../components/plan';
import { FAMILY_NAME } from '../../components/plan/ip';
import { groupBy } from './groupBy';
import { html, type Html, type Piece } from './html';
import { capped, count, dataTable, marked, measuredBy, sign, unseen } from './parts';
import { groupsOf, type Layer, type Path } from './paths';

/** More machines than that are shown by group: a table of them would have over five hundred cells. */
const MOST_NODES = 24;
/** What fails in a whole site fails often; the first ones tell what it is. */
const MOST_LISTED = 100;

/** From where to where which packets get, machine by machine or group by group, and every path that fails. */
export function matrices(layers: readonly Layer[], nodes: readonly NodePlan[], plannedPodBytes: number): Html {
  return html`${layers.map((layer, index) => matrix(layer, index, nodes))}${outdated(layers, plannedPodBytes)}`;
}

function matrix(layer: Layer, index: number, nodes: readonly NodePlan[]): Html {
  const { by, groups } =
    nodes.length <= MOST_NODES
      ? { by: null, groups: nodes.map((node) => ({ name: node.name, nodes: [node] })) }
      : groupsOf(nodes);
  const groupOf = new Map(groups.flatMap(({ name, nodes: members }) => members.map((node) => [node.name, name])));
  const cells = groupBy(layer.paths, ({ from, to }) => JSON.stringify([groupOf.get(from), groupOf.get(to)]));
  const failing = layer.paths.filter(({ passes }) => !passes);
  const summary = `${layer.paths.length - failing.length} of ${count(layer.paths.length, 'path')} pass`;
  const how = by === null || by === 'site' ? '' : ` ${groups.length} ${by}s stand for ${nodes.length} machines.`;
  const title = `${layer.title}: largest packet that passes, in bytes`;
  const { shown, left } = capped(failing, MOST_LISTED);
  return html`<h3 id="layer-${index + 1}">${layer.title}</h3>
    <p>
      ${layer.about} Measured ${measuredBy(layer.source)}:
      ${marked(failing.length === 0 ? 'ok' : 'bad', `${summary}.`)}${how}
    </p>
    <div class="scroll" role="region" aria-label="${title}" tabindex="0">
      <table class="matrix">
        <caption>
          ${title}; rows send, columns receive
        </caption>
        <thead>
          <tr>
            <th scope="col">from</th>
            ${groups.map(({ name }) => html`<th scope="col"><span>${name}</span></th>`)}
          </tr>
        </thead>
        <tbody>
          ${groups.map(
            (from) =>
              html`<tr>
                <th scope="row">${from.name}</th>
                ${groups.map((to) =>
                  cell(cells.get(JSON.stringify([from.name, to.name])) ?? [], from === to && by === null, by !== null),
                )}
              </tr> `,
          )}
        </tbody>
      </table>
    </div>
    ${
      failing.length === 0
        ? null
        : dataTable(
            `Paths that fail: ${layer.title}`,
            ['from', 'to', 'family', 'passes', 'planned'],
            shown.map(({ from, to, family, largestBytes, wantedBytes }) => [
              ...[from, to, FAMILY_NAME[family]],
              ...[largestBytes === null ? 'nothing' : `${largestBytes} bytes`, `${wantedBytes} bytes`],
            ]),
          )
    }${left && html`<p>${left}: sitewright verify --json has them all.</p>`}`;
}

function cell(paths: readonly Path[], isSelf: boolean, isGroup: boolean): Html {
  if (isSelf) return html`<td class="none"><span aria-hidden="true">·</span>${unseen('itself')}</td>`;
  if (paths.length === 0) return html`<td class="none">${sign('none')}${unseen('not measured')}</td>`;
  const failing = paths.filter(({ passes }) => !passes);
  const sizes = (failing.length > 0 ? failing : paths).map(({ largestBytes }) => largestBytes);
  const smallest = sizes.includes(null) ? null : Math.min(...sizes.map((size) => size ?? 0));
  const passed = isGroup ? html`<br /><small>${paths.length} of ${paths.length}</small>` : unseen('passes');
  if (failing.length === 0) return html`<td class="ok">${sign('ok')}${smallest} ${passed}</td>`;
  const wanted = Math.max(...failing.map(({ wantedBytes }) => wantedBytes));
  const size: Piece = smallest === null ? 'nothing' : `${smallest} of ${wanted}`;
  const failed = isGroup ? html`<br /><small>${failing.length} of ${paths.length} fail</small>` : unseen('fails');
  return html`<td class="bad">${sign('bad')}${size} ${failed}</td>`;
}

/** A plan that changed since is not what was measured. */
function outdated(layers: readonly Layer[], plannedPodBytes: number): Piece {
  const tried = new Set(layers.slice(-1).flatMap(({ paths }) => paths.map(({ wantedBytes }) => wantedBytes)));
  if (tried.size === 0 || tried.has(plannedPodBytes)) return null;
  const given = `Packets of ${[...tried].join(', ')} bytes were tried, and the plan now has ${plannedPodBytes}`;
  return html`<p>${marked('warn', `${given}: it has changed since.`)}</p>`;
}
