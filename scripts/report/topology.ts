import type { NodePlan, SitePlan } from '../../components/plan';
import { contains, parseIp } from '../../components/plan/ip';
import { groupBy } from './groupBy';
import { html, type Html } from './html';
import { count, dataTable, folded, marked, type Mark } from './parts';
import { hostOf, hostWord } from './paths';
import { drawing, line, rect, text, WIDTH, widthOf } from './svg';

const GAP = 8;
/** Left of the subnets: what leads from one to the others and to the peers. */
const SPINE_X = 16;
const LANE_X = 40;
const LANE_WIDTH = WIDTH - LANE_X - 1;
const MACHINE_HEIGHT = 40;
const HOST_HEAD = 22;
const LANE_HEAD = 44;

/** Subnets, the hosts in them, the machines on those, and the peers outside; and the same as a table. */
export function topology(plan: SitePlan, stateOf: (node: string) => Mark): Html {
  const hosts = new Set(plan.nodes.map(hostOf).filter((host) => host !== null));
  const summary = [
    count(plan.nodes.length, 'machine'),
    ...(hosts.size > 0 ? [`on ${count(hosts.size, hostWord(plan.nodes))}`] : []),
    `in ${count(plan.address.subnets.length, 'subnet')}`,
    ...(plan.proof.peers.length > 0 ? [`${count(plan.proof.peers.length, 'peer')} outside`] : []),
  ].join(', ');
  const isDashed = plan.nodes.some(({ state }) => state === 'leaving');
  const legend = [
    'A double frame is a machine of the control plane',
    ...(isDashed ? ['a dashed one leaves the cluster'] : []),
    '✓ every probe of it passed, ✗ one failed, ! one warned, – it was not measured yet',
  ].join('; ');
  return html`<p>${summary}. ${legend}.</p>
    ${sketch(plan, stateOf, summary)}${folded(`Table of ${count(plan.nodes.length, 'machine')}`, machineTable(plan, stateOf))}`;
}

function sketch(plan: SitePlan, stateOf: (node: string) => Mark, summary: string): Html {
  const content: Html[] = [];
  let y = 1;
  const { peers } = plan.proof;
  const joined = plan.address.subnets.length > 1 || peers.length > 0;
  /** Where the spine leads to. */
  const joints: number[] = [];
  if (peers.length > 0) {
    const labels = peers.map(
      ({ name, address, mtuBytes, tcpPort }) =>
        `${name}  ${address}${tcpPort === null ? '' : `  TCP ${tcpPort}`}  ${mtuBytes} bytes`,
    );
    const each = flow(labels.map((label) => ({ width: Math.min(LANE_WIDTH, widthOf(label) + 16), height: 30 })));
    for (const [index, { x, y: down }] of each.places.entries()) {
      const { width } = each.boxes[index]!;
      content.push(rect(LANE_X + x, y + down, width, 30, 'peer'));
      content.push(text(LANE_X + x + 8, y + down + 19, labels[index]!, { width: width - 16 }));
    }
    joints.push(y + 15);
    y += each.height + 16;
  }
  for (const subnet of plan.address.subnets) {
    const nodes = plan.nodes.filter((node) => node.subnet === subnet.name);
    const lane = laneOf(nodes, stateOf);
    const vip = plan.address.vip;
    const hasVip = vip !== null && subnet.cidrs.some((cidr) => contains(parseIp(cidr).network, parseIp(vip)));
    const head = [`subnet ${subnet.name}`, `MTU ${subnet.mtuBytes}`, ...(hasVip ? [`virtual address ${vip}`] : [])];
    const second = [
      subnet.cidrs.join(', '),
      ...(subnet.gateways.length > 0 ? [`gateway ${subnet.gateways.join(', ')}`] : []),
    ];
    const height = LANE_HEAD + lane.height + GAP;
    content.push(rect(LANE_X, y, LANE_WIDTH, height, 'lane'));
    content.push(text(LANE_X + 10, y + 18, head.join('  '), { width: LANE_WIDTH - 20, kind: 'label strong' }));
    content.push(text(LANE_X + 10, y + 35, second.join('  '), { width: LANE_WIDTH - 20, kind: 'label muted' }));
    content.push(...lane.draw(LANE_X + GAP, y + LANE_HEAD));
    joints.push(y + 15);
    y += height + 16;
  }
  if (joined) {
    content.push(line(SPINE_X, joints[0]!, SPINE_X, joints[joints.length - 1]!, 'wire'));
    content.push(...joints.map((joint) => line(SPINE_X, joint, LANE_X, joint, 'wire')));
  }
  return drawing('topology', `Topology of ${plan.site}`, `${summary}. The table below has the same.`, y - 15, content);
}

interface Lane {
  height: number;
  draw(x: number, y: number): Html[];
}

/** The hosts of one subnet beside each other, as many as fit. A host with machines in two subnets is in both. */
function laneOf(nodes: NodePlan[], stateOf: (node: string) => Mark): Lane {
  const inner = LANE_WIDTH - 2 * GAP;
  const word = hostWord(nodes);
  const longest = Math.max(0, ...nodes.map(({ name }) => widthOf(name)));
  const width = Math.min(220, Math.max(76, longest + 40));
  const within = (room: number) => Math.max(1, Math.floor((room - GAP) / (width + GAP)));
  const [fitting, half] = [within(inner), within((inner - GAP) / 2)];
  const hosts = [...groupBy(nodes, (node) => hostOf(node) ?? '').values()].map((members) => {
    const host = hostOf(members[0]!);
    const columns = host === null ? Math.min(members.length, fitting) : columnsOf(members.length, fitting, half);
    const rows = Math.ceil(members.length / columns);
    return {
      ...{ host, members, columns },
      width: Math.max(
        columns * (width + GAP) + GAP,
        Math.min(inner, host === null ? 0 : widthOf(`${word} ${host}`) + 20),
      ),
      height: (host === null ? 0 : HOST_HEAD) + rows * (MACHINE_HEIGHT + GAP),
    };
  });
  const placed = flow(hosts, inner);
  return {
    height: placed.height,
    draw: (left, top) =>
      hosts.flatMap(({ host, members, columns, ...size }, index) => {
        const [x, y] = [left + placed.places[index]!.x, top + placed.places[index]!.y];
        const first = host === null ? y : y + HOST_HEAD;
        const boxes = members.map((node, at) => {
          const column = at % columns;
          const row = Math.floor(at / columns);
          return machine(node, x + GAP + column * (width + GAP), first + row * (MACHINE_HEIGHT + GAP), width, stateOf);
        });
        if (host === null) return boxes;
        return [
          rect(x, y, size.width, size.height, 'host'),
          text(x + GAP, y + 15, `${word} ${host}`, { width: size.width - 2 * GAP, kind: 'label muted' }),
          ...boxes,
        ];
      }),
  };
}

/** Machines of a host beside each other: so many that two hosts share a row where that leaves both readable. */
function columnsOf(count: number, fitting: number, half: number): number {
  if (Math.ceil(count / half) > 5) return Math.min(count, fitting);
  return Math.min(count, half, Math.max(2, Math.ceil(Math.sqrt(count))));
}

const SIGN: Record<Mark, string> = { ok: '✓', bad: '✗', warn: '!', none: '–' };

function machine(node: NodePlan, x: number, y: number, width: number, stateOf: (name: string) => Mark): Html {
  const mark = stateOf(node.name);
  const kind = `machine ${mark}${node.state === 'leaving' ? ' leaving' : ''}`;
  const isControlPlane = node.role === 'control-plane';
  return html`${rect(x, y, width, MACHINE_HEIGHT, kind)}${
    isControlPlane ? rect(x + 3, y + 3, width - 6, MACHINE_HEIGHT - 6, 'inner') : null
  }${text(x + 9, y + 24, node.name, { width: width - 34, kind: `label on-${mark}${isControlPlane ? ' strong' : ''}` })}${text(
    x + width - 9,
    y + 24,
    SIGN[mark],
    { anchor: 'end', kind: `label on-${mark} strong` },
  )}`;
}

/** Boxes from left to right, and on to the next row where one does not fit. */
function flow<Box extends { width: number; height: number }>(boxes: Box[], width: number = LANE_WIDTH) {
  let [x, y, row] = [0, 0, 0];
  const places = boxes.map((box) => {
    if (x > 0 && x + box.width > width) [x, y, row] = [0, y + row + GAP, 0];
    const place = { x, y };
    x += box.width + GAP;
    row = Math.max(row, box.height);
    return place;
  });
  return { boxes, places, height: y + row };
}

const STATE_WORDS: Record<Mark, string> = {
  ok: 'passed',
  bad: 'a probe failed',
  warn: 'a probe warned',
  none: 'not measured',
};

const machineTable = (plan: SitePlan, stateOf: (node: string) => Mark): Html =>
  dataTable(
    `Machines of ${plan.site}`,
    ['name', 'role', hostWord(plan.nodes), 'subnet', 'addresses', 'MTU', 'proof'],
    [
      ...plan.nodes.map((node) => [
        ...[node.name, `${node.role}${node.state === 'leaving' ? ', leaving' : ''}`, hostOf(node) ?? 'not of the kit'],
        ...[node.subnet, node.addresses.join(', '), `${node.interface.mtuBytes}`],
        marked(stateOf(node.name), STATE_WORDS[stateOf(node.name)]),
      ]),
      ...plan.dead.map(({ name, role, hypervisor, addresses }) => [
        ...[name, `${role}, lost`, hypervisor ?? 'not of the kit', '–', addresses.join(', '), '–', '–'],
      ]),
    ],
  );
