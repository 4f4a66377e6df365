import { impactOf } from '../../components/plan';
import type { ChangeImpact } from './impact';
import { isMap } from './lines';

/** A setting of the site file or its profiles, defaults included, that differs. */
export interface SettingChange {
  /** Such as `machines.nodes[cp1].memory`. */
  key: string;
  /** Undefined: it is not there. */
  before?: unknown;
  after?: unknown;
  impact: ChangeImpact;
  why: string;
  /** What a person does beside `up`. */
  action: string;
}

export function settingChanges(before: unknown, after: unknown): SettingChange[] {
  return differences(before, after, '');
}

/** Lists whose items have names are known by them: a machine that moves in its list is the same machine. */
const isNamed = (value: unknown): value is (Record<string, unknown> & { name: string })[] =>
  Array.isArray(value) && value.every((item) => isMap(item) && typeof item.name === 'string');

function differences(before: unknown, after: unknown, key: string): SettingChange[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if ((isMap(before) && (isMap(after) || after === undefined)) || (before === undefined && isMap(after))) {
    const [old, made] = [before ?? {}, after ?? {}] as [Record<string, unknown>, Record<string, unknown>];
    const keys = [...new Set([...Object.keys(old), ...Object.keys(made)])];
    return keys.flatMap((name) => differences(old[name], made[name], key === '' ? name : `${key}.${name}`));
  }
  if (isNamed(before) && isNamed(after) && before.length + after.length > 0) return itemDifferences(before, after, key);
  return [change(key, before, after)];
}

function itemDifferences(before: { name: string }[], after: { name: string }[], key: string): SettingChange[] {
  const names = [...new Set([...before, ...after].map(({ name }) => name))];
  const found = names.flatMap((name) => {
    const [old, made] = [before, after].map((list) => list.find((item) => item.name === name));
    const place = `${key}[${name}]`;
    if (old !== undefined && made !== undefined) return differences(old, made, place);
    return [old === undefined ? newItem(place) : goneItem(place)];
  });
  // Where no item differs, their order does.
  return found.length > 0
    ? found
    : [
        change(
          key,
          before.map(({ name }) => name),
          after.map(({ name }) => name),
        ),
      ];
}

const MACHINE = /^machines\.nodes\[[^\]]*\]$/;

const newItem = (key: string): SettingChange => ({
  key,
  after: 'new',
  impact: 'in place',
  why: MACHINE.test(key) ? 'a machine more; the others learn its name' : 'it is new',
  action: 'nothing more',
});

const goneItem = (key: string): SettingChange => ({
  key,
  before: 'was there',
  impact: MACHINE.test(key) ? 'deletion' : (impactOf(key)?.impact ?? 'disruptive'),
  why: MACHINE.test(key) ? 'the machine goes with its lines' : (impactOf(key)?.why ?? 'it is gone'),
  action: MACHINE.test(key)
    ? 'a member of the cluster leaves first: state: leaving, then `up`'
    : (impactOf(key)?.action ?? 'nothing more'),
});

function change(key: string, before: unknown, after: unknown): SettingChange {
  const entry = impactOf(key);
  return {
    key,
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
    impact: entry?.impact ?? 'in place',
    why: entry?.why ?? '',
    action: entry?.action ?? 'nothing more',
  };
}
