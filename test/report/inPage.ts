/**
 * Functions that a browser runs in a page. Each stands alone: it is sent as its text. What they know of the page's objects is
 * told here, because the kit itself has no types of a browser.
 */
declare const document: any; // eslint-disable-line @typescript-eslint/no-explicit-any
declare const getComputedStyle: any; // eslint-disable-line @typescript-eslint/no-explicit-any
declare const innerWidth: number;
declare const innerHeight: number;
/* eslint-disable @typescript-eslint/no-explicit-any */

/** What is wrong with where things are; empty: nothing. */
export function layoutProblems(): string[] {
  const problems: string[] = [];
  const { scrollWidth } = document.documentElement;
  if (scrollWidth > innerWidth) problems.push(`the page is ${scrollWidth} wide in a window of ${innerWidth}`);
  for (const svg of document.querySelectorAll('svg')) {
    const id = svg.getAttribute('aria-labelledby');
    const frame = svg.viewBox.baseVal;
    const shapes = [...svg.querySelectorAll('rect, text')].map((element: any) => {
      const { x, y, width, height } = element.getBBox();
      return { element, isText: element.tagName === 'text', x, y, width, height, words: element.textContent as string };
    });
    const texts = shapes.filter(({ isText }) => isText);
    for (const { x, y, width, height, words } of shapes)
      if (x < -0.5 || y < -0.5 || x + width > frame.width + 0.5 || y + height > frame.height + 0.5)
        problems.push(`${id}: "${words}" at ${x},${y} leaves the drawing`);
    for (const [index, one] of texts.entries()) {
      for (const other of texts.slice(index + 1)) {
        const across = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
        const down = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
        if (across > 0.5 && down > 0.5) problems.push(`${id}: "${one.words}" lies on "${other.words}"`);
      }
      // The innermost box that a text begins in has to hold all of it.
      const around = shapes.filter(
        (box) =>
          !box.isText &&
          box.x <= one.x &&
          one.x <= box.x + box.width &&
          box.y <= one.y + one.height / 2 &&
          one.y + one.height / 2 <= box.y + box.height,
      );
      const box = around[around.length - 1];
      if (box !== undefined && one.x + one.width > box.x + box.width)
        problems.push(`${id}: "${one.words}" leaves its box`);
    }
  }
  return problems;
}

/** Texts whose contrast with what they stand on is below 4.5 (WCAG 2.1, 1.4.3), with the contrast. */
export function weakTexts(): string[] {
  const channels = (color: string): number[] => (color.match(/[\d.]+/g) ?? []).map(Number);
  const isSeen = (color: string) => color !== 'none' && color !== '' && channels(color)[3] !== 0;
  const luminance = (color: string) => {
    const [red, green, blue] = channels(color).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
  };
  const contrast = (one: string, other: string) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high! + 0.05) / (low! + 0.05);
  };
  const behind = (element: any): string => {
    for (let at = element; at !== null; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (isSeen(backgroundColor)) return backgroundColor as string;
    }
    return 'rgb(255, 255, 255)';
  };
  const found: string[] = [];
  const judge = (words: string, color: string, ground: string) => {
    const value = contrast(color, ground);
    if (value < 4.5) found.push(`"${words}": ${value.toFixed(2)} (${color} on ${ground})`);
  };
  for (const element of document.querySelectorAll('body *:not(svg):not(svg *)')) {
    const words = [...element.childNodes].map((node: any) => (node.nodeType === 3 ? node.textContent : '')).join('');
    if (words.trim() !== '') judge(words.trim(), getComputedStyle(element).color, behind(element));
  }
  for (const svg of document.querySelectorAll('svg')) {
    const boxes: { fill: string; box: any }[] = [];
    for (const element of svg.querySelectorAll('rect, text')) {
      const { fill } = getComputedStyle(element);
      const box = element.getBBox();
      if (element.tagName === 'rect') {
        if (isSeen(fill)) boxes.push({ fill, box });
        continue;
      }
      const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
      const under = boxes.filter(
        (one) => one.box.x <= x && x <= one.box.x + one.box.width && one.box.y <= y && y <= one.box.y + one.box.height,
      );
      judge(element.textContent, fill, under[under.length - 1]?.fill ?? behind(svg));
    }
  }
  return [...new Set(found)];
}

/** Where the keyboard is: what it is, what it is called, whether it is seen and marked. */
export function focused(): { what: string; isVisible: boolean; isMarked: boolean } | null {
  const element = document.activeElement;
  if (element === null || element === document.body) return null;
  const { left, top, right, bottom } = element.getBoundingClientRect();
  const style = getComputedStyle(element);
  const name = element.getAttribute('aria-label') ?? element.textContent.trim();
  return {
    what: `${element.tagName.toLowerCase()} ${name}`,
    isVisible: right > 0 && bottom > 0 && left < innerWidth && top < innerHeight,
    isMarked: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
  };
}

export const openFolds = (): number => document.querySelectorAll('details[open]').length;

export const sizes = (): { page: number[]; drawings: number } => ({
  page: [document.documentElement.scrollWidth, document.documentElement.scrollHeight],
  drawings: [...document.querySelectorAll('svg')].filter((svg: any) => svg.getBoundingClientRect().height > 40).length,
});

export const unfold = (): void => {
  for (const fold of document.querySelectorAll('details')) fold.open = true;
};
