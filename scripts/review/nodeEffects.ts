import type { NodePlan } from '../../components/plan';
import type { RenderDocument } from '../render/document';
import { lasting, type SingleEffect } from './effects';
import { inline, valueDiff } from './lines';

type NodeEffect = Omit<SingleEffect, 'machine'>;

/** What changes on machines that stay: sysctls, modules, offloads and files. */
export function nodeEffects(before: RenderDocument, after: RenderDocument): SingleEffect[] {
  return lasting(before, after).flatMap((machine) => {
    const [old, made] = [before, after].map(({ plan }) => plan.nodes.find(({ name }) => name === machine)!);
    return [...tunings(old!, made!), ...files(before, after, machine)].map((effect) => ({ machine, ...effect }));
  });
}

interface Tuning {
  /** What it is known by. */
  key: string;
  shown: unknown;
  reason: string;
}

function tunings(old: NodePlan, made: NodePlan): NodeEffect[] {
  return [
    ...listDiff('sysctl', sysctls(old), sysctls(made), 'it keeps its value until the next start of the machine'),
    ...listDiff('kernel module', modules(old), modules(made), 'it stays loaded until the next start of the machine'),
    ...listDiff('offload rule', offloads(old), offloads(made), 'devices keep the setting until the next start'),
  ];
}

const sysctls = ({ sysctls: all }: NodePlan): Tuning[] =>
  all.map(({ key, value, reason }) => ({ key, shown: value, reason }));
const modules = ({ modules: all }: NodePlan): Tuning[] =>
  all.map(({ name, reason }) => ({ key: name, shown: 'loaded', reason }));
const offloads = ({ offloads: all }: NodePlan): Tuning[] =>
  all.map(({ id, reason, ...rule }) => ({ key: id, shown: rule, reason }));

function listDiff(kind: string, before: Tuning[], after: Tuning[], whenGone: string): NodeEffect[] {
  const keys = [...new Set([...after, ...before].map(({ key }) => key))];
  return keys.flatMap((key): NodeEffect[] => {
    const [old, made] = [before, after].map((list) => list.find((one) => one.key === key));
    if (JSON.stringify(old?.shown) === JSON.stringify(made?.shown)) return [];
    return [
      {
        what: `${kind} ${key}`,
        change: old === undefined ? 'new' : made === undefined ? 'gone' : 'changed',
        impact: 'in place',
        why: made?.reason ?? whenGone,
        lines: [
          ...(old === undefined ? [] : [`- ${inline(old.shown)}`]),
          ...(made === undefined ? [] : [`+ ${inline(made.shown)}`]),
        ],
      },
    ];
  });
}

/** Their content is the tunings, told one by one. */
const TOLD = ['/etc/sysctl.d/k8s-net.conf', '/etc/modules-load.d/k8s-net.conf'];

/** What happens on a machine when a file of it changes; the first that fits. */
const FILE_RULES: { path: RegExp; impact: SingleEffect['impact']; why: string }[] = [
  {
    path: /^\/etc\/kubernetes\/sitewright\/(kubeadm|audit-policy|admission|encryption)/,
    impact: 'in place',
    why: 'static pods of the control plane are started again where it concerns them, one node after another',
  },
  { path: /^\/etc\/kubernetes\/pki\//, impact: 'disruptive', why: 'what trusts the earlier one has to follow' },
  { path: /kubelet\.service/, impact: 'restart', why: 'kubelet is started again; pods keep running' },
  {
    path: /containerd(\.service|\/config\.toml)$/,
    impact: 'restart',
    why: 'containerd is started again; pods keep running',
  },
  { path: /\/vip\/(haproxy|keepalived)/, impact: 'in place', why: 'its service is told; the address may move once' },
];

function files(before: RenderDocument, after: RenderDocument, machine: string): NodeEffect[] {
  const [old, made] = [before.nodes[machine]!.files, after.nodes[machine]!.files];
  const paths = [...new Set([...Object.keys(old), ...Object.keys(made)])].sort();
  return paths
    .filter((path) => !TOLD.includes(path) && JSON.stringify(old[path]) !== JSON.stringify(made[path]))
    .map((path) => {
      const rule = FILE_RULES.find((one) => one.path.test(path));
      const change = !(path in old) ? 'new' : !(path in made) ? 'gone' : 'changed';
      return {
        what: path,
        change,
        impact: rule?.impact ?? 'in place',
        why: rule?.why ?? (change === 'gone' ? 'it is no longer kept' : 'the script of the node writes it'),
        lines: [
          ...valueDiff(old[path]?.mode, made[path]?.mode, 'mode'),
          ...valueDiff(lines(old[path]?.content), lines(made[path]?.content)),
        ],
      };
    });
}

const lines = (content: unknown): unknown =>
  content === undefined ? [] : typeof content === 'string' ? [content] : content;
