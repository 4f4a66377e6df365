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

/** A variable of bash. Text of several lines stays readable: the script is reviewed, and compared with a golden. */
export function assignment(name: string, value: string | readonly string[]): string {
  if (typeof value !== 'string') return `${name}=${quoteList(value)}\n`;
  if (!value.endsWith('\n')) return `${name}=${quote(value)}\n`;
  return `IFS= read -r -d '' ${name} <<'END_OF_${name}'\n${value}END_OF_${name}\n`;
}
