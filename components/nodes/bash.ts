/**
 * A piece of a bash script, as it stands: backslashes are bash's own. Only the bracket of a bash expansion is escaped in
 * the source (`\${name}`), because TypeScript would take it for its own.
 */
export function bash(text: TemplateStringsArray): string {
  return text.raw
    .join('')
    .replace(/\\\$\{/g, '${')
    .replace(/^\n/, '');
}

/** A word of bash, quoted so that nothing in it is read as anything else. */
export function quote(word: string): string {
  return `'${word.replace(/'/g, `'\\''`)}'`;
}

/** An array of bash. */
export function quoteList(words: readonly string[]): string {
  return `(${words.map(quote).join(' ')})`;
}
