import { z } from 'zod';
import type { RegistryPlan } from '../plan/clusterTypes';
import { parseJson } from './json';

/** Passwords by the name of their registry: one secret of the stack, as JSON. */
export type RegistryPasswords = Record<string, string>;

const schema = z.record(z.string(), z.string().min(1));

/** Throws where the text is not what `sitewright secrets set` writes; the message holds nothing of it. */
export function parseRegistryPasswords(text: string | undefined): RegistryPasswords {
  if (text === undefined) return {};
  const parsed = schema.safeParse(parseJson(text));
  if (!parsed.success) throw new Error('the passwords of registries are damaged: they are a JSON object of texts');
  return parsed.data;
}

/** Registries that somebody logs in to, and for which there is no password. */
export const withoutPassword = (registries: RegistryPlan[], passwords: RegistryPasswords): string[] =>
  registries.flatMap(({ name, username }) => (username !== null && passwords[name] === undefined ? [name] : []));

export const passwordMissing = (site: string, registry: string): string =>
  `the registry ${registry} of ${site} has a username and no password: sitewright secrets set ${site} registryPassword-${registry}`;

/**
 * The file that kubelet takes log-ins from, in the form of a Docker client; empty where nobody logs in. Not a matter of
 * containerd: its own setting for it is deprecated, and hosts.toml knows fixed headers only, which most registries refuse.
 */
export function registryLogins(registries: RegistryPlan[], passwords: RegistryPasswords): string {
  const auths = registries.flatMap(({ name, username }) =>
    username === null
      ? []
      : [[name, { auth: Buffer.from(`${username}:${passwords[name]}`).toString('base64') }] as const],
  );
  return auths.length === 0 ? '' : `${JSON.stringify({ auths: Object.fromEntries(auths) }, null, 2)}\n`;
}
