import { base64Within } from '../support/plantedSecrets';
import type { RecordedResource } from '../support/recordingMonitor';

const spellings = (text: string): string[] => [text, ...base64Within(text)];

/** The inputs without those that are marked as secret. */
export function openInputs({ inputs, secretInputs }: RecordedResource): unknown {
  const without = (value: unknown, path: string): unknown => {
    if (secretInputs.includes(path)) return undefined;
    if (Array.isArray(value)) return value.map((item, index) => without(item, `${path}[${index}]`));
    if (typeof value !== 'object' || value === null) return value;
    const within = path === '' ? '' : `${path}.`;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, without(item, within + key)]));
  };
  return without(inputs, '');
}

/** `<where>: <secret>` for every planted secret that can be read in what is given, raw or in base64. */
export function leaks(shown: Record<string, unknown>, planted: Record<string, string[]>): string[] {
  return Object.entries(shown).flatMap(([where, value]) => {
    const text = JSON.stringify(value) ?? '';
    const found = Object.entries(planted).filter(([, texts]) =>
      texts.flatMap(spellings).some((one) => text.includes(one)),
    );
    return found.map(([secret]) => `${where}: ${secret}`);
  });
}
