import type { MtuPlan } from '../../components/plan';
import { FAMILY_NAME } from '../../components/plan/ip';
import { html, type Html } from './html';
import { dataTable } from './parts';
import { drawing, rect, text, WIDTH } from './svg';

const ROW = 58;
const BAR = 26;
/** Twenty bytes of nine thousand would be a hairline: each header is wide enough for its figure, and at most this wide. */
const HEADER_WIDTHS = { least: 64, most: 160 };

/** What is left of a packet from the underlay down to the pod, as nested bars, and as a table with the sources. */
export function mtuBudget(mtu: MtuPlan): Html {
  const { podMtuBytes, steps, devices, mssBytes } = mtu;
  const total = steps[0]?.bytes ?? podMtuBytes;
  const rows = [...steps.map(({ what, leftBytes }) => ({ what, leftBytes }))];
  const last = rows[rows.length - 1]?.leftBytes ?? podMtuBytes;
  rows.push({ what: last === podMtuBytes ? 'a pod' : 'a pod, as the site states it', leftBytes: podMtuBytes });
  const content: Html[] = [];
  let room = WIDTH - 2;
  let before = total;
  /** What earlier steps took off stays in the picture, empty. */
  const taken: { x: number; width: number }[] = [];
  for (const [index, { what, leftBytes }] of rows.entries()) {
    const y = index * ROW;
    const bytes = before - leftBytes;
    const width =
      bytes === 0
        ? 0
        : Math.min(HEADER_WIDTHS.most, Math.max(HEADER_WIDTHS.least, (bytes / total) * WIDTH), Math.max(0, room - 200));
    room -= width;
    content.push(text(1, y + 14, what, { width: WIDTH - 200 }));
    content.push(text(WIDTH - 1, y + 14, `${leftBytes} bytes`, { anchor: 'end', kind: 'label strong' }));
    content.push(rect(1, y + 22, room, BAR, index === rows.length - 1 ? 'bar pod' : 'bar'));
    content.push(...taken.map((gone) => rect(gone.x, y + 22, gone.width, BAR, 'gone')));
    if (width > 0) {
      content.push(rect(1 + room, y + 22, width, BAR, 'header'));
      content.push(text(1 + room + width / 2, y + 39, `-${bytes}`, { width, anchor: 'middle', kind: 'label strong' }));
      taken.push({ x: 1 + room, width });
    }
    before = leftBytes;
  }
  const payload = Object.entries(mssBytes).map(
    ([family, bytes]) => `${bytes} bytes (${FAMILY_NAME[family as keyof typeof FAMILY_NAME]})`,
  );
  const summary = `${total} bytes of the underlay leave ${podMtuBytes} to a packet of a pod`;
  return html`<p>
      ${summary}. A TCP segment of a pod has at most ${payload.join(', ')}. Routing:
      ${mtu.routing}${mtu.wireguard ? ', WireGuard' : null} (${mtu.routingReason}).
    </p>
    ${drawing('budget', 'MTU budget', `${summary}. Headers are drawn wider than they are. The table below has each step.`, rows.length * ROW - 6, content)}${dataTable(
      'MTU budget, step by step',
      ['step', 'bytes', 'left', 'from'],
      steps.map(({ what, bytes, leftBytes, source }) => [what, `${bytes}`, `${leftBytes}`, source]),
    )}
    <p>Devices: ${devices.map(({ name, mtuBytes }) => `${name} ${mtuBytes}`).join(', ')}.</p> `;
}
