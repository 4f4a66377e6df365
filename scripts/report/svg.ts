import { html, type Html, type Piece } from './html';

/** Every drawing is this wide, in units of its own; the page scales it. */
export const WIDTH = 960;
/** Of the monospaced text in drawings at 12 units, so that a text is known to fit before a browser has drawn it. */
const CHARACTER_WIDTH = 7.3;

export const widthOf = (text: string) => [...text].length * CHARACTER_WIDTH;

/** Cut in the middle: both ends of a name tell it from its neighbours. */
export function fitted(text: string, width: number): string {
  const characters = [...text];
  const room = Math.max(1, Math.floor(width / CHARACTER_WIDTH));
  if (characters.length <= room) return text;
  const head = Math.ceil((room - 1) / 2);
  return [...characters.slice(0, head), '…', ...characters.slice(characters.length - (room - 1 - head))].join('');
}

/** A drawing for those who see it; `description` is for those who do not, and a table beside it has all of it. */
export function drawing(id: string, title: string, description: string, height: number, content: Piece): Html {
  return html`<div class="scroll" role="region" aria-label="${title}" tabindex="0">
    <svg
      role="img"
      aria-labelledby="${id}-title"
      aria-describedby="${id}-about"
      viewBox="0 0 ${WIDTH} ${number(height)}"
      width="${WIDTH}"
      height="${number(height)}"
    >
      <title id="${id}-title">${title}</title>
      <desc id="${id}-about">${description}</desc>
      ${content}
    </svg>
  </div> `;
}

/** Two digits are finer than any screen, and the same on every machine. */
export const number = (value: number) => String(Math.round(value * 100) / 100);

interface TextOptions {
  /** Most room that it has. */
  width?: number;
  anchor?: 'start' | 'middle' | 'end';
  kind?: string;
}

/** A line of text whose lower edge is at `y`. */
export const text = (
  x: number,
  y: number,
  content: string,
  { width = WIDTH, anchor = 'start', kind = 'label' }: TextOptions = {},
): Html =>
  html`<text x="${number(x)}" y="${number(y)}" text-anchor="${anchor}" class="${kind}"
    >${fitted(content, width)}</text
  > `;

export const rect = (x: number, y: number, width: number, height: number, kind: string): Html =>
  html`<rect
    x="${number(x)}"
    y="${number(y)}"
    width="${number(width)}"
    height="${number(height)}"
    rx="3"
    class="${kind}"
  /> `;

export const line = (x1: number, y1: number, x2: number, y2: number, kind: string): Html =>
  html`<line x1="${number(x1)}" y1="${number(y1)}" x2="${number(x2)}" y2="${number(y2)}" class="${kind}" /> `;
