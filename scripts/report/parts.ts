import { html, type Html, type Piece } from './html';

/** What is said of something that was looked at. A word and a sign go with each colour. */
export type Mark = 'ok' | 'bad' | 'warn' | 'none';

const SIGNS: Record<Mark, string> = { ok: '✓', bad: '✗', warn: '!', none: '–' };

/** The sign is for the eye; a screen reader reads the words beside it. */
export const sign = (mark: Mark): Html => html`<span class="sign" aria-hidden="true">${SIGNS[mark]}</span> `;

export const marked = (mark: Mark, words: Piece): Html => html`<span class="${mark}">${sign(mark)}${words}</span>`;

/** Words that only a screen reader has use for: what the place of a cell tells the eye. */
export const unseen = (words: string): Html => html`<span class="unseen">${words}</span>`;

/** A table whose first column names its rows. It scrolls by itself where it is wider than the page. */
export function dataTable(caption: string, head: readonly string[], rows: readonly (readonly Piece[])[]): Html {
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${head.map((cell) => html`<th scope="col">${cell}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ([first, ...rest]) =>
            html`<tr>
              <th scope="row">${first ?? null}</th>
              ${rest.map((cell) => html`<td>${cell}</td>`)}
            </tr> `,
        )}
      </tbody>
    </table>
  </div> `;
}

/** Folded until somebody asks; a click or Enter opens it, without a script. */
export const folded = (summary: string, content: Piece): Html =>
  html`<details>
    <summary>${summary}</summary>
    ${content}
  </details> `;

export function section(id: string, title: string, content: Piece): Html {
  return html`<section id="${id}" aria-labelledby="${id}-heading">
    <h2 id="${id}-heading">${title}</h2>
    ${content}
  </section> `;
}

/** The first rows of a list that may have thousands; says how many it leaves out. */
export function capped<T>(rows: readonly T[], most: number): { shown: readonly T[]; left: string | null } {
  if (rows.length <= most) return { shown: rows, left: null };
  return { shown: rows.slice(0, most), left: `and ${rows.length - most} more` };
}

export const paragraph = (content: Piece): Html => html`<p>${content}</p> `;

export const count = (number: number, one: string, many = `${one}s`): string =>
  `${number} ${number === 1 ? one : many}`;

/** `2026-11-21 18:30 UTC`. */
export const shownTime = (at: string): string => `${at.slice(0, 10)} ${at.slice(11, 16)} UTC`;

export const measuredBy = ({ by, at }: { by: string; at: string }): string => `by ${by} on ${shownTime(at)}`;
