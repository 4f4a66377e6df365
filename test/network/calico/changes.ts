import type { ManifestObject } from '../../../components/network/manifest';

/** What differs between two lists of objects, one line each: `DaemonSet calico-node spec.…: before -> after`. */
export function changes(before: ManifestObject[], after: ManifestObject[]): string[] {
  const [old, made] = [flat(before), flat(after)];
  const gone = before.filter((object) => !after.some((one) => nameOf(one) === nameOf(object))).map(nameOf);
  const paths = [...new Set([...old.keys(), ...made.keys()])].sort();
  return [
    ...gone.map((name) => `${name}: left out`),
    ...paths.flatMap((path) => {
      if (old.get(path) === made.get(path) || gone.some((name) => path.startsWith(`${name} `))) return [];
      return [`${path}: ${old.get(path) ?? 'nothing'} -> ${made.get(path) ?? 'nothing'}`];
    }),
  ];
}

const nameOf = ({ kind, metadata }: ManifestObject) => `${kind} ${metadata.name}`;

function flat(objects: ManifestObject[]): Map<string, string> {
  const values = new Map<string, string>();
  const walk = (path: string, value: unknown): void => {
    if (Array.isArray(value)) {
      const keys = (value as ({ name?: string; type?: string } | null)[]).map((item) => item?.name ?? item?.type);
      // Commands and their like are one value: an index says nothing.
      if (keys.every((key) => key !== undefined)) value.forEach((item, index) => walk(`${path}[${keys[index]}]`, item));
      else values.set(path, JSON.stringify(value));
    } else if (path.endsWith(']') && path.includes('.env[')) {
      const { value: text, valueFrom } = value as { value?: string; valueFrom?: unknown };
      values.set(path, JSON.stringify(text ?? valueFrom));
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) walk(path === '' ? key : `${path}.${key}`, item);
    } else if (path.endsWith('.cni_network_config')) {
      walk(path, JSON.parse(String(value).replace(/:\s*(__[A-Z_]+__)/g, ': "$1"')));
    } else values.set(path, JSON.stringify(value));
  };
  for (const object of objects) {
    const { spec, data } = object;
    if (object.kind !== 'CustomResourceDefinition') walk(`${nameOf(object)} `, { spec, data });
  }
  return new Map([...values].map(([path, value]) => [path.replace(' .', ' '), value]));
}
