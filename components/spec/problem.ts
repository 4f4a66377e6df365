import { closest, distance } from 'fastest-levenshtein';
import type { Position } from './tree';

/** One thing wrong with what a person wrote. Line and column count from 1; line 0: the file as a whole. */
export interface Problem extends Position {
  severity: 'error' | 'warning';
  /** Keys and list indexes from the top of the site; empty for the file as a whole. */
  path: (string | number)[];
  /** `path` as text, list items by their name: `machines.nodes[cp1].cpus`. */
  where: string;
  /** What was given, ready to print; absent where nothing was given, and for secrets. */
  given?: string;
  /** What is wrong, what is allowed and how to fix it. One line. */
  message: string;
}

/** Exactly one line: `stacks/sites/oslo.yaml:41:10 network.podMtu: 1500 is too large: …`. */
export function formatProblem(problem: Problem): string {
  const position = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : `${problem.file}:`;
  const where = problem.where === '' ? '' : ` ${problem.where}:`;
  const severity = problem.severity === 'warning' ? ' warning:' : '';
  return `${position}${where}${severity} ${problem.message}`.replace(/\s*\n\s*/g, ' ');
}

/** File by file in the order given, then from top to bottom. */
export function sortProblems(problems: Problem[], files: readonly string[]): Problem[] {
  const rank = (problem: Problem) => (files.includes(problem.file) ? files.indexOf(problem.file) : files.length);
  return [...problems].sort((a, b) => rank(a) - rank(b) || a.line - b.line || a.column - b.column);
}

const PRIVATE_KEY = /BEGIN [A-Z0-9 ]*PRIVATE KEY/;
/** Whether a text holds a private key in PEM form. Such a text is never printed. */
export const holdsPrivateKey = (text: string) => PRIVATE_KEY.test(text);

/** Longer values are cut: a message is one line. */
const MOST_SHOWN_CHARACTERS = 60;

/** A value as messages show it: text in quotes, lists and maps by their kind only. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value !== 'string') return String(value);
  if (holdsPrivateKey(value)) return 'a private key';
  return JSON.stringify(value.length > MOST_SHOWN_CHARACTERS ? `${value.slice(0, MOST_SHOWN_CHARACTERS - 1)}…` : value);
}

/** The candidate that was probably meant, or undefined when none is near: at most a third of its letters differ. */
export function nearest(given: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0) return undefined;
  const sameLetters = candidates.find((candidate) => candidate.toLowerCase() === given.toLowerCase());
  const best = sameLetters ?? closest(given, candidates);
  const mostEdits = Math.max(1, Math.ceil(Math.max(best.length, given.length) / 3));
  return sameLetters !== undefined || distance(given, best) <= mostEdits ? best : undefined;
}

/** `; did you mean X?`, or nothing. */
export function didYouMean(given: string, candidates: readonly string[]): string {
  const best = nearest(given, candidates);
  return best === undefined ? '' : `; did you mean ${best}?`;
}
