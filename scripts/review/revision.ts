import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir } from '../../components/cacheDir';
import type { Context } from '../cli/context';
import { badInput } from '../cli/errors';
import { forgetUnused, markUsed } from '../engine/cache';
import { Repository } from './git';
import { kitAt, thisKit, type Kit } from './kit';

/** One side of a comparison: files of sites, and the kit that makes something of them. */
export interface Revision {
  /** As a reader knows it: a ref with its commit, or `worktree`. */
  label: string;
  stacksDir: string;
  kit: Kit;
}

export const WORKTREE = 'worktree';

export interface RevisionOptions {
  /** Use this kit for every commit: only what the files of the sites say counts. */
  sameKit: boolean;
}

/**
 * The files as they are, or those of a commit in a folder of the cache. A kit in the same repository is taken at that commit
 * too; a kit from elsewhere is the same on both sides.
 */
export async function openRevision(context: Context, ref: string, { sameKit }: RevisionOptions): Promise<Revision> {
  const kit = thisKit(context);
  if (ref === WORKTREE) return { label: WORKTREE, stacksDir: context.stacksDir, kit };
  const repository = await Repository.of(context.stacksDir);
  if (repository === null)
    throw badInput(`${context.stacksDir} is in no git repository, so ${ref} means nothing there`);
  const commit = await repository.commit(ref);
  const label = commit.startsWith(ref) ? commit.slice(0, 12) : `${ref} (${commit.slice(0, 12)})`;
  const path = repository.pathOf(context.stacksDir);
  const tree = await repository.tree(commit, `${path}/sites`);
  if (tree === null) throw badInput(`${label} has no ${path}/sites: there is nothing to compare with`);
  const stacksDir = join(await exported(repository, commit, path), path);
  return { label, stacksDir, kit: sameKit ? kit : await kitAt(context, repository, commit, label) };
}

async function exported(repository: Repository, commit: string, path: string): Promise<string> {
  const root = join(cacheDir(), 'revisions');
  const folder = join(root, commit, path.replace(/\//g, '+'));
  mkdirSync(join(root, commit), { recursive: true });
  markUsed(join(root, commit));
  if (existsSync(folder)) return folder;
  forgetUnused(root);
  const fresh = mkdtempSync(join(root, 'new-'));
  await repository.export(commit, [`${path}/sites`, ...(await present(repository, commit, path))], fresh);
  try {
    renameSync(fresh, folder);
  } catch (error) {
    // Another run was faster.
    rmSync(fresh, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** What a site is made of beside its own file. */
async function present(repository: Repository, commit: string, path: string): Promise<string[]> {
  const wanted = ['profiles', 'bundles'].map((name) => `${path}/${name}`);
  const trees = await Promise.all(wanted.map((one) => repository.tree(commit, one)));
  return wanted.filter((_, index) => trees[index] !== null);
}
