import * as path from 'node:path';
import { Command, Option } from 'commander';
import { plannedId } from '../../../components/bundle/find';
import { lacking } from '../../../components/bundle/contents';
import { verifyBundle } from '../../../components/bundle/verify';
import { computePlan } from '../../../components/plan';
import type { BundlePlan } from '../../../components/plan/clusterTypes';
import { formatProblem, toProblems } from '../../../components/spec';
import { cachedBundles } from '../../../components/bundle/store';
import type { PlacedBundle } from '../../bundle/place';
import { buildFromSource } from '../../bundle/source';
import { buildFromUpstream } from '../../bundle/upstream';
import { contextOf, printJson, shownPath, type Context } from '../context';
import { badInput, failed } from '../errors';
import { pruneCommand, shownSize } from './bundlePrune';
import { openSiteAloud } from '../site';
import { table } from '../table';

type Origin = BundlePlan['from'];

interface BuildOptions {
  from?: Origin;
  mirror?: string;
  registryMirror?: string;
  archiveKey?: string;
}

/** What a site installs, as one pinned folder on this machine. */
export function bundleCommand(): Command {
  const build = new Command('build')
    .description('build or download everything that a site installs; goes on where it was interrupted')
    .argument('<site>')
    .addOption(new Option('--from <origin>', 'instead of artifacts.from of the site').choices(['source', 'upstream']))
    .option('--mirror <place>', 'upstream: folder or URL that has the files as <host>/<path>')
    .option('--registry-mirror <url>', 'upstream: registry that has the images, such as https://mirror.example.org/k8s')
    .option('--archive-key <file>', 'upstream: keyring of a --mirror that signs packages itself')
    .addHelpText(
      'after',
      `
upstream: HTTPS_PROXY, NO_PROXY and ~/.netrc are honoured. The first build of a version makes
stacks/bundles/<name>.lock.json from the checksums that the projects publish; every later one must give the same files.

Examples:
  $ sitewright bundle build acme-prod
  $ sitewright bundle build acme-prod --mirror /srv/releases --registry-mirror https://mirror.example.org/k8s
  $ sitewright bundle build lab --from source`,
    )
    .action((site: string, options: BuildOptions, command: Command) => buildBundle(contextOf(command), site, options));
  const verify = new Command('verify')
    .description("hold every byte of a site's bundle against its lock")
    .argument('<site>')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sitewright bundle verify acme-prod\n  $ sitewright bundle verify lab --json',
    )
    .action((site: string, _options: unknown, command: Command) => verifyOf(contextOf(command), site));
  const list = new Command('list')
    .description('show the bundles of this machine')
    .addHelpText('after', '\nExamples:\n  $ sitewright bundle list\n  $ sitewright bundle list --json')
    .action((_options: unknown, command: Command) => listBundles(contextOf(command)));
  return new Command('bundle')
    .description('build, verify, list and prune what sites install')
    .addCommand(build)
    .addCommand(verify)
    .addCommand(list)
    .addCommand(pruneCommand());
}

/** What the bundle of a site must hold. With another origin than the site's, what it would hold if the site said so. */
function bundlePlan(context: Context, site: string, from?: Origin): BundlePlan {
  const { plan, spec, source } = openSiteAloud(context, site);
  if (plan.cluster === null) {
    throw badInput(`${site} has no kubernetes.version, so it installs nothing and has no bundle`);
  }
  if (from === undefined || from === plan.cluster.bundle.from) return plan.cluster.bundle;
  const other = computePlan({ ...spec, artifacts: { ...spec.artifacts, from } }, context.kitVersion);
  if (other.plan === null) throw badInput(toProblems(other.findings, source).map(formatProblem).join('\n'));
  return other.plan.cluster!.bundle;
}

async function buildBundle(context: Context, site: string, options: BuildOptions): Promise<void> {
  const plan = bundlePlan(context, site, options.from);
  const { id, folder, isoPath, sizeBytes, kept, lock, newLock } = await makeBundle(context, site, plan, options);
  const files = lock.artifacts.length;
  if (context.json) {
    printJson(context, { site, name: plan.name, id, folder, isoPath, files, sizeBytes, built: !kept, newLock });
    return;
  }
  context.out(
    `${plan.name} is ${kept ? 'whole' : 'built'}: ${files} files, ${shownSize(sizeBytes)}, id ${id}\n${folder}` +
      (newLock === null ? '' : `\nIts lock is new; commit it, and everybody gets these files: ${shownPath(newLock)}`),
  );
}

async function makeBundle(
  context: Context,
  site: string,
  plan: BundlePlan,
  { mirror, registryMirror, archiveKey }: BuildOptions,
): Promise<PlacedBundle & { newLock: string | null }> {
  const log = (line: string) => context.say(line);
  if (plan.from === 'upstream') {
    return buildFromUpstream(
      plan,
      {
        stacksDir: context.stacksDir,
        mirror: mirror ?? null,
        registryMirror: registryMirror ?? null,
        archiveKey: archiveKey === undefined ? null : path.resolve(archiveKey),
      },
      log,
    );
  }
  if (mirror !== undefined || registryMirror !== undefined || archiveKey !== undefined) {
    throw badInput(
      `${site}: --mirror, --registry-mirror and --archive-key are for --from upstream; what is built from source comes from the mirrors of Go and Debian`,
    );
  }
  return { ...(await buildFromSource(plan, log)), newLock: null };
}

async function verifyOf(context: Context, site: string): Promise<void> {
  const plan = bundlePlan(context, site);
  const store = cachedBundles();
  const id = await plannedId(store, context.stacksDir, plan);
  if (id === null)
    throw failed(`the bundle ${plan.name} of ${site} is not on this machine. Run: sitewright bundle build ${site}`);
  const { lock, problems } = await verifyBundle(store.bundleFolder(id), id);
  const all = [...problems, ...(await store.isoProblems(id)), ...(lock === null ? [] : lacking(lock, plan))];
  if (context.json) printJson(context, { site, name: plan.name, id, whole: all.length === 0, problems: all });
  else if (all.length === 0) context.out(`${plan.name} is whole: ${lock!.artifacts.length} files, id ${id}`);
  if (all.length === 0) return;
  const lines = [`the bundle ${plan.name} of ${site} is not what it must be:`, ...all.map((line) => `  ${line}`)];
  throw failed(context.json ? '' : [...lines, `Run: sitewright bundle build ${site}`].join('\n'));
}

async function listBundles(context: Context): Promise<void> {
  const store = cachedBundles();
  const names = await store.names();
  const found = await Promise.all(
    (await store.ids()).map(async (id) => {
      const { lock, problems } = (await store.find(id))!;
      const { name, from, artifacts } = lock ?? { name: 'unknown', from: 'unknown', artifacts: [] };
      const sizeBytes = artifacts.reduce((sum, artifact) => sum + artifact.sizeBytes, 0);
      const newest = names.some((entry) => entry.name === name && entry.id === id);
      return { name, id, from, files: artifacts.length, sizeBytes, newest, problems };
    }),
  );
  found.sort((a, b) => (a.name === b.name ? Number(b.newest) - Number(a.newest) : a.name < b.name ? -1 : 1));
  if (context.json) printJson(context, found);
  else if (found.length === 0) context.out('no bundle on this machine: sitewright bundle build <site> makes one');
  else {
    const rows = found.map(({ name, id, from, files, sizeBytes, newest, problems }) => [
      ...[name, id.slice(0, 12), from, String(files), shownSize(sizeBytes)],
      problems[0] ?? (newest ? '' : 'older'),
    ]);
    context.out(table(['name', 'id', 'from', 'files', 'size', ''], rows, context.color));
  }
}
