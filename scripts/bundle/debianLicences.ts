/** Debian's short names (its copyright-format 1.0) that differ from those of SPDX; versions follow by rule. */
const SPDX: Record<string, string> = {
  expat: 'MIT',
  mit: 'MIT',
  isc: 'ISC',
  zlib: 'Zlib',
  apache: 'Apache-2.0',
  'apache-2': 'Apache-2.0',
  'apache-2.0': 'Apache-2.0',
  'bsd-2-clause': 'BSD-2-Clause',
  'bsd-3-clause': 'BSD-3-Clause',
  'bsd-4-clause': 'BSD-4-Clause',
  'boost-1.0': 'BSL-1.0',
  'bsl-1.0': 'BSL-1.0',
  openssl: 'OpenSSL',
  cc0: 'CC0-1.0',
  'cc0-1.0': 'CC0-1.0',
};

/**
 * SPDX expression of a package from its copyright file: every licence that some file of its source has. Where the file is
 * not in the form that machines read, or names a licence that SPDX has no name for, a LicenseRef leads to it.
 */
export function packageLicence(name: string, copyright: string): string {
  const own = `LicenseRef-${name.replace(/[^A-Za-z0-9.-]+/g, '-')}-copyright`;
  if (!/^Format:.*copyright-format/m.test(copyright)) return own;
  const stated = [...copyright.matchAll(/^License:[ \t]*(\S.*)$/gm)].flatMap(([, text]) =>
    text.split(/\s+(?:and|or|and\/or)\s+|[,;]\s*/),
  );
  const found = stated.map((short) => spdxOf(short.trim()) ?? own);
  return [...new Set(found)].sort().join(' AND ') || own;
}

function spdxOf(short: string): string | undefined {
  const gnu = /^(AGPL|GPL|LGPL)-?v?(\d)(?:\.(\d))?(?:\.0)?(\+)?$/i.exec(short);
  if (gnu === null) return SPDX[short.toLowerCase()];
  const [, family, major, minor = '0', later] = gnu;
  return `${family.toUpperCase()}-${major}.${minor}-${later === undefined ? 'only' : 'or-later'}`;
}
