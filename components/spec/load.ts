import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import * as semver from 'semver';
import { didYouMean, holdsPrivateKey, shown, sortProblems, type Problem } from './problem';
import { merge, prune } from './merge';
import { siteSchema, type SiteSpec } from './schema';
import { SiteSource } from './source';
import { translate } from './translate';
import { parseText, pathText, placeText, toPlain, type MapTree, type Position, type Tree } from './tree';

export interface LoadArgs {
  /** Folder that holds `sites/` and `profiles/`. */
  stacksDir: string;
  /** Name of the site; its file is `sites/<site>.yaml`. */
  site: string;
  /** Version of this kit, as in its package.json; compared with the range at `kit`. */
  kitVersion: string;
}

export type LoadResult = { ok: true; spec: SiteSpec; source: SiteSource } | { ok: false; problems: Problem[] };

/** A file that was read, and what it extends. */
interface SiteFile {
  name: string;
  file: string;
  tree: MapTree;
}

/**
 * Reads a site and the profiles it extends, merges them (see merge.ts for the rules) and validates the result. Every
 * problem is reported at once; nothing is thrown for a mistake in a file.
 */
export function loadSite({ stacksDir, site, kitVersion }: LoadArgs): LoadResult {
  const reader = new Reader(resolve(stacksDir));
  const siteFile = reader.exists(site) ? reader.read('sites', site) : undefined;
  if (siteFile === undefined) return { ok: false, problems: reader.sortedProblems() };
  const profiles = reader.profilesOf(siteFile);

  reader.checkSite(siteFile, kitVersion);
  const trees = [...profiles.map(withoutExtends).reverse(), siteFile.tree];
  const tree = prune(trees.reduce<Tree>((base, over) => merge(base, over), emptyMap(siteFile.tree.at)));
  const checked = siteSchema.safeParse(toPlain(tree));
  const issues = checked.success ? [] : checked.error.issues;
  reader.problems.push(...translate(issues, tree, { missingKeys: reader.complete }));
  if (!checked.success || reader.problems.length > 0) return { ok: false, problems: reader.sortedProblems() };
  return { ok: true, spec: checked.data, source: new SiteSource(tree, checked.data) };
}

/** Names of the sites in `stacksDir`, sorted. */
export const listSites = (stacksDir: string) => namesIn(join(stacksDir, 'sites'));
/** Names of the profiles in `stacksDir`, sorted. */
export const listProfiles = (stacksDir: string) => namesIn(join(stacksDir, 'profiles'));

function namesIn(folder: string): string[] {
  try {
    const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));
    return files.map((file) => file.slice(0, -'.yaml'.length)).sort();
  } catch {
    return [];
  }
}

const emptyMap = (at: Position): MapTree => ({
  kind: 'map',
  entries: new Map(),
  removed: new Map(),
  at,
  overridden: [],
});

const isName = (text: string) => siteSchema.shape.name.safeParse(text).success;

/** A profile's own `extends` has been followed; the site's stays, as part of what a person wrote. */
function withoutExtends({ tree }: SiteFile): MapTree {
  return { ...tree, entries: new Map([...tree.entries].filter(([key]) => key !== 'extends')) };
}

class Reader {
  readonly problems: Problem[] = [];
  /** False once a profile could not be read: what is missing may be there. */
  complete = true;
  /** Files in the order in which their problems are told: the site first. */
  private readonly files: string[] = [];

  constructor(private readonly stacksDir: string) {}

  sortedProblems(): Problem[] {
    return sortProblems(this.problems, this.files);
  }

  /** Reads one file. Undefined, with the reasons among the problems, when there is no usable map in it. */
  read(kind: 'sites' | 'profiles', name: string): SiteFile | undefined {
    const file = this.shownPath(join(this.stacksDir, kind, `${name}.yaml`));
    this.files.push(file);
    let text: string;
    try {
      text = readFileSync(join(this.stacksDir, kind, `${name}.yaml`), 'utf8');
    } catch (error) {
      this.add({ file, line: 0, column: 0 }, [], `cannot be read: ${(error as Error).message}`);
      return undefined;
    }
    const { tree, faults } = parseText(text, file);
    for (const { path, message, ...at } of faults) this.add(at, path, message, tree);
    this.findPrivateKeys(text, file, tree);
    if (tree === undefined) return undefined;
    if (tree.kind === 'map') return { name, file, tree };
    const empty = tree.kind === 'scalar' && tree.value === null;
    if (!empty) {
      this.add(tree.at, [], `${shown(toPlain(tree))} is the whole file: write a map of keys, one a line`);
      return undefined;
    }
    return { name, file, tree: emptyMap({ file, line: 1, column: 1 }) };
  }

  /** Unless the site exists, one problem that names those that do. */
  exists(site: string): boolean {
    const sites = listSites(this.stacksDir);
    if (sites.includes(site)) return true;
    const file = this.shownPath(join(this.stacksDir, 'sites'));
    const known = sites.length > 0 ? `Sites here: ${sites.join(', ')}` : 'There are no sites here yet';
    const guess = didYouMean(site, sites) || '.';
    this.add({ file, line: 0, column: 0 }, [], `there is no site ${shown(site)}${guess} ${known}`);
    return false;
  }

  /** The profiles that a site extends, the nearest first. */
  profilesOf(site: SiteFile): SiteFile[] {
    const chain: SiteFile[] = [];
    for (let here = site; ;) {
      const target = here.tree.entries.get('extends')?.node;
      if (target === undefined || (target.kind === 'scalar' && target.value === null)) return chain;
      const next = this.profile(here, target, chain);
      if (next === undefined) {
        this.complete = false;
        return chain;
      }
      chain.push(next);
      here = next;
    }
  }

  private profile(from: SiteFile, target: Tree, chain: SiteFile[]): SiteFile | undefined {
    const name = toPlain(target);
    const profiles = listProfiles(this.stacksDir);
    if (typeof name !== 'string') {
      // The validation tells a site's own; a profile's never gets there.
      if (chain.length > 0) this.add(target.at, ['extends'], `${shown(name)} is not text: write the name of a profile`);
      return undefined;
    }
    if (!profiles.includes(name)) {
      const known = `Profiles here: ${profiles.join(', ') || 'none'}`;
      const guess = didYouMean(name, profiles) || '.';
      this.add(target.at, ['extends'], `there is no profile ${shown(name)}${guess} ${known}`, from.tree);
      return undefined;
    }
    const start = chain.findIndex((file) => file.name === name);
    if (start >= 0) {
      this.cycle(chain.slice(start), target.at);
      return undefined;
    }
    const profile = this.read('profiles', name);
    if (profile) this.checkProfile(profile);
    return profile;
  }

  private cycle(files: SiteFile[], at: Position): void {
    const steps = files.map(({ name, tree }) => {
      return `${name} (${placeText((tree.entries.get('extends') as { node: Tree }).node.at)})`;
    });
    const circle = [...steps, files[0].name].join(' -> ');
    this.add(at, ['extends'], `profiles extend each other in a circle: ${circle}; take one of these lines away`);
  }

  /** What identifies or approves one site cannot be shared by many. */
  private checkProfile({ tree }: SiteFile): void {
    for (const key of ['name', 'kit']) {
      const entry = tree.entries.get(key);
      if (entry) this.add(entry.key, [key], 'belongs to each site: move it from the profile to the site files', tree);
    }
  }

  checkSite({ name, tree, file }: SiteFile, kitVersion: string): void {
    const given = tree.entries.get('name')?.node;
    if (given?.kind === 'scalar' && typeof given.value === 'string' && given.value !== name && isName(given.value)) {
      const message = `${shown(given.value)} is not the name of its file: write ${name}, or rename the file to ${given.value}.yaml`;
      this.add(given.at, ['name'], message, tree, given.value);
    }
    const kit = tree.entries.get('kit')?.node;
    const range = kit && toPlain(kit);
    if (kit === undefined || typeof range !== 'string' || semver.validRange(range) === null) return;
    if (semver.satisfies(kitVersion, range, { includePrerelease: true })) return;
    this.add(
      kit.at,
      ['kit'],
      `${shown(range)} does not include this kit, which is ${kitVersion}: check out a version of the kit that fits, ` +
        `or review what this one makes of the site (sitewright plan ${name}) and then write kit: ^${kitVersion} in ${file}`,
      tree,
      range,
    );
  }

  /** A private key in a file that is committed is lost to the public: refused wherever it stands, and never printed. */
  private findPrivateKeys(text: string, file: string, tree: Tree | undefined): void {
    const message =
      'this is a private key; site files are not secret. Take it out, consider it leaked (make a new one), ' +
      "and leave keys to `sitewright new`, which keeps them encrypted in the site's Pulumi config";
    const before = this.problems.length;
    const visit = (node: Tree, path: (string | number)[]): void => {
      if (node.kind === 'map') for (const [key, entry] of node.entries) visit(entry.node, [...path, key]);
      else if (node.kind === 'list') node.items.forEach((item, index) => visit(item, [...path, index]));
      else if (typeof node.value === 'string' && holdsPrivateKey(node.value)) this.add(node.at, path, message, tree);
    };
    if (tree) visit(tree, []);
    if (this.problems.length > before) return;
    text.split('\n').forEach((line, index) => {
      if (holdsPrivateKey(line)) this.add({ file, line: index + 1, column: line.search(/\S/) + 1 }, [], message);
    });
  }

  private add(at: Position, path: (string | number)[], message: string, tree?: Tree, given?: unknown): void {
    const problem: Problem = { ...at, severity: 'error', path, where: pathText(path, tree), message };
    this.problems.push(given === undefined ? problem : { ...problem, given: shown(given) });
  }

  /** As messages print it: from the parent of `stacksDir` on, which is where people run commands. */
  private shownPath(path: string): string {
    return relative(dirname(this.stacksDir), path).split(sep).join('/');
  }
}
