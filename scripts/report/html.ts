/** Markup that is safe to put on a page as it is. Only `html` makes it. */
export class Html {
  constructor(readonly text: string) {}
}

export type Piece = Html | string | number | null | readonly Piece[];

/**
 * Markup with values in it, each escaped unless it is markup itself; null is nothing, lists are joined. What it makes is
 * well-formed XML too (every element is closed), so that any strict parser can read a page back.
 */
export function html(parts: TemplateStringsArray, ...values: Piece[]): Html {
  // Templates are indented for who reads them here; a page of thousands of cells has no use for that.
  const own = parts.map((part) => part.replace(/\n\s+/g, '\n'));
  return new Html(own.reduce((text, part, index) => text + rendered(values[index - 1] ?? null) + part));
}

function rendered(value: Piece): string {
  if (value === null) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'string' || typeof value === 'number') return escaped(String(value));
  return value.map(rendered).join('');
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** A message may quote what a machine has printed: control characters have no place on a page, and no entity. */
const escaped = (text: string) =>
  text
    .replace(/(?![\t\n\r])\p{Control}|\p{Surrogate}|[\ufffe\uffff]/gu, '\ufffd')
    .replace(/[&<>"']/g, (character) => ENTITIES[character]!);
