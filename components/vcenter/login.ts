/** A session of a vCenter that somebody made elsewhere, with a sign-on that the kit knows nothing of. The kit uses it and never ends it. */
export interface LentSession {
  /** Of the Web Services API: value of the cookie vmware_soap_session. */
  soap: string;
  /** Of the REST API, which knows sessions of its own: value of the header vmware-api-session-id. */
  rest: string;
}

export type Credentials = { user: string; password: string } | { session: LentSession };

/** The plugin calls files of sessions by the user that it is given. Nobody's name: were the session ended, nobody's password would be tried. */
export const LENT_USER = '';

/** Secrets of a site on vSphere, by what `sitewright secrets set` calls them. */
export const VSPHERE_SECRETS = ['vsphereUser', 'vspherePassword', 'vsphereSession'] as const;
export type VsphereSecret = (typeof VSPHERE_SECRETS)[number];

/** What is given in place of one of them. */
export const insteadOf = (secret: VsphereSecret): VsphereSecret[] =>
  secret === 'vsphereSession' ? ['vsphereUser', 'vspherePassword'] : ['vsphereSession'];

/** How a shell makes a session and gives it to the kit: nothing of it is shown or written to a file. */
export const howToLend = (site: string) =>
  `{ govc session.login -l; govc session.login -r -l; } | sitewright secrets set ${site} vsphereSession --file /dev/stdin`;

/**
 * Reads a session as `govc session.login -l` and `govc session.login -r -l` print it, one after the other.
 * @returns null for anything else
 */
export function parseSession(text: string): LentSession | null {
  const values = text
    .trim()
    .split(/\s+/)
    // vCenter puts its cookie in quotes.
    .map((value) => value.replace(/^"(.*)"$/, '$1'));
  // They become headers of requests.
  if (values.length !== 2 || !values.every((value) => /^[\w.~+/=:-]{16,}$/.test(value))) return null;
  return { soap: values[0]!, rest: values[1]! };
}

/** On a line each: what blanks secrets out of a text knows the lines of a secret. */
export const sessionText = ({ soap, rest }: LentSession) => `${soap}\n${rest}`;

/**
 * What a site has to be let in by its vCenter: a user with a password, or a session.
 * @returns every problem of it where it has neither, or both
 */
export function credentialsOf(
  { site, server }: { site: string; server: string },
  given: Partial<Record<VsphereSecret, string>>,
): Credentials | string[] {
  const { vsphereUser: user, vspherePassword: password, vsphereSession: text } = given;
  if (text === undefined) {
    if (user !== undefined && password !== undefined) return { user, password };
    const missing = insteadOf('vsphereSession').filter((name) => given[name] === undefined);
    return [
      ...missing.map((name) => `${site} lacks ${name} for ${server}: sitewright secrets set ${site} ${name}`),
      ...(missing.length === 1 ? [] : [`or, in place of both, a session: ${howToLend(site)}`]),
    ];
  }
  const beside = insteadOf('vsphereSession').filter((name) => given[name] !== undefined);
  if (beside.length > 0) {
    return [
      `${site} has vsphereSession and also ${beside.join(' and ')} for ${server}, and only one of the two ways in can be meant: ` +
        `set that one again (sitewright secrets set ${site} …), which removes the other`,
    ];
  }
  const session = parseSession(text);
  if (session !== null) return { session };
  return [
    `vsphereSession of ${site} is not a session: it is two words, the session of the Web Services API and the one of the REST API: ${howToLend(site)}`,
  ];
}
