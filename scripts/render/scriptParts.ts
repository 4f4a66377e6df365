/**
 * Takes the kit's own scripts apart again: the values that one node has, and the program that all nodes share. It reads what
 * `assignment` (components/nodes/bash.ts) and `hypervisorScript` write, and nothing else of bash.
 */
export interface ScriptParts {
  /** Values of variables, in the order of the script. */
  values: Record<string, string | string[]>;
  /** The rest, without the comment at the top, which names the node. */
  program: string;
}

export function takeApart(script: string): ScriptParts {
  const text = script.replace(/^(#(?!!).*\n)+/, '');
  const start = text.search(/^(?:IFS= read -r -d '' \w+ <<'END_OF_|[A-Za-z]\w*=(?:'|\(['\n)]))/m);
  if (start < 0) return { values: {}, program: text };
  const values: ScriptParts['values'] = {};
  let at = start;
  for (;;) {
    const found = readHeredoc(text, at) ?? readAssignment(text, at);
    if (found === undefined) break;
    values[found.name] = found.value;
    at = found.end;
  }
  return { values, program: text.slice(0, start) + text.slice(at) };
}

interface Found {
  name: string;
  value: string | string[];
  /** Where the next line begins. */
  end: number;
}

const HEREDOC = /IFS= read -r -d '' (\w+) <<'(END_OF_\w+)'\n/y;

function readHeredoc(text: string, at: number): Found | undefined {
  HEREDOC.lastIndex = at;
  const [all, name, word] = HEREDOC.exec(text) ?? [];
  if (all === undefined) return undefined;
  const from = at + all.length;
  const to = text.startsWith(`${word}\n`, from) ? from : text.indexOf(`\n${word}\n`, from) + 1;
  return { name: name!, value: text.slice(from, to), end: to + word!.length + 1 };
}

const NAME = /([A-Za-z]\w*)=(?=['(])/y;
/** One quoted word; a quote inside of it stands outside, behind a backslash. */
const WORD = /'((?:[^']|'\\'')*)'/y;

function readAssignment(text: string, at: number): Found | undefined {
  NAME.lastIndex = at;
  const [all, name] = NAME.exec(text) ?? [];
  if (all === undefined) return undefined;
  let here = at + all.length;
  const word = (): string | undefined => {
    WORD.lastIndex = here;
    const [quoted, inner] = WORD.exec(text) ?? [];
    if (quoted === undefined) return undefined;
    here += quoted.length;
    return inner!.replace(/'\\''/g, "'");
  };
  if (text[here] === "'") {
    const value = word();
    return value === undefined || text[here] !== '\n' ? undefined : { name: name!, value, end: here + 1 };
  }
  const list: string[] = [];
  for (here += 1; text[here] !== ')';) {
    if (text[here] === ' ') here += 1;
    const value = word();
    if (value === undefined) return undefined;
    list.push(value);
  }
  return { name: name!, value: list, end: here + 2 };
}

/** The script of a command that gets it as one quoted argument; undefined for another command. */
export function scriptOfArgument(command: string): string | undefined {
  const [, quoted] = /^exec bash -c '([^]*)'$/.exec(command) ?? [];
  return quoted?.replace(/'\\''/g, "'");
}

export interface WrittenFile {
  /** Parts of it that only the node knows stay variables, such as `$interface`. */
  path: string;
  mode: string;
  /** Name of the variable that has its content. */
  variable: string;
}

const WRITES = /\bwrite_(file|secret) ("[^"]*"|\S+) (?:(0\d{3}) )?"\$\{?([A-Z][A-Z_]*)/g;

/** The files that a script writes from its values, by the calls in its program. */
export function writtenFiles({ values, program }: ScriptParts): WrittenFile[] {
  return [...program.matchAll(WRITES)].flatMap(({ index, 1: kind, 2: path, 3: mode, 4: variable }) => {
    if (typeof values[variable!] !== 'string') return [];
    const resolvedPath = resolved(path!.replace(/"/g, ''), values, program.slice(0, index));
    return [{ path: resolvedPath, mode: kind === 'secret' ? '0600' : mode!, variable: variable! }];
  });
}

/** Variables of a path: those with a value, and those that the program has set to a plain text last. */
function resolved(path: string, values: ScriptParts['values'], before: string): string {
  return path.replace(/\$\{?(\w+)\}?/g, (variable, name: string) => {
    const value = values[name];
    if (typeof value === 'string') return value;
    const set = [...before.matchAll(new RegExp(`(?<=^|[\\s;])${name}=([\\w./$-]+)(?=[\\s;])`, 'g'))].pop();
    return set === undefined ? variable : resolved(set[1]!, values, before.slice(0, set.index));
  });
}
