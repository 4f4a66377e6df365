import * as command from '@pulumi/command';
import type { Deployment } from '@pulumi/pulumi/automation';
import { partedResources, unjoinedResources, type SiteState } from '../../scripts/cli/members';
import { removeCompiledPlugins, TestStack } from '../plugins/engine';
import { controlPlanes, smallCluster } from '../plan/clusterSite';
import { node, planOf } from '../plan/site';

/**
 * The real engine, in the way that plain `pulumi up` has it, with stand-ins for a machine and for what says that its node
 * is a member: they have the names and the protection of those of a site.
 */

const SITE = 'oslo';
const MACHINE = `${SITE}-machines-w1-domain`;

interface Lines {
  /** Of w1; null: they are deleted. */
  w1: { state?: 'leaving'; mac?: string; joins?: string } | null;
}

const program =
  ({ w1 }: Lines) =>
  async () => {
    if (w1 === null) return;
    const { mac = 'a', joins = 'true' } = w1;
    const machine = new command.local.Command(
      MACHINE,
      { create: 'true', delete: 'true', triggers: [mac] },
      { protect: true, deleteBeforeReplace: true },
    );
    const member = { dependsOn: [machine], deletedWith: machine };
    if (w1.state === 'leaving') new command.local.Command(`${SITE}-cluster-w1-leave`, { create: 'true' }, member);
    else new command.local.Command(`${SITE}-cluster-w1-join`, { create: joins }, member);
  };

let stack: TestStack;

const state = async () => (await stack.stack.exportStack()) as SiteState;
const nameOf = (urn: string) => urn.split('::').pop()!;
const names = async () => (await state()).deployment!.resources!.map(({ urn }: { urn: string }) => nameOf(urn));

async function unprotect(isMeant: (urn: string) => boolean): Promise<void> {
  const found = await state();
  for (const resource of found.deployment!.resources!) if (isMeant(resource.urn)) resource.protect = false;
  await stack.stack.importStack(found as Deployment);
}

const w1 = planOf(smallCluster({ nodes: [...controlPlanes(1), node('w1', 1, 21)] }));
const refused = async (lines: Lines) => expect(await stack.upFails(program(lines)));

/** An `up` that fails in the end, and what `sitewright up` does then. */
async function failedUp(lines: Lines): Promise<string[]> {
  const before = await state();
  await stack.upFails(program(lines));
  return release(unjoinedResources(before, await state(), w1));
}

async function release(urns: string[]): Promise<string[]> {
  await unprotect((urn) => urns.includes(urn));
  return urns.map(nameOf);
}

beforeAll(async () => (stack = await TestStack.make('protection')));
afterAll(async () => {
  await unprotect(() => true);
  await stack.remove();
  removeCompiledPlugins();
});

test('a worker whose join failed can be made anew', async () => {
  expect(await failedUp({ w1: { joins: 'false' } })).toEqual([MACHINE]);
  expect(await failedUp({ w1: { mac: 'b', joins: 'false' } })).toEqual([MACHINE]);
  expect((await stack.up(program({ w1: { mac: 'c' } }))).changes).toMatchObject({ replace: 1, create: 1 });
});

test('a worker that has joined is made anew by nobody, deleted by nobody, and stays', async () => {
  (await refused({ w1: { mac: 'd' } })).toContain('marked for protection');
  (await refused({ w1: null })).toMatch(/oslo-machines-w1-domain.*cannot be deleted.*because it is protected/s);
  await expect(stack.stack.destroy()).rejects.toThrow(/because it is protected/);
  expect(await names()).toContain(MACHINE);
  // The engine forgets what goes with a machine before it refuses to delete it: the state knows no member any more.
  expect(await names()).not.toContain(`${SITE}-cluster-w1-join`);
  expect(await failedUp({ w1: { mac: 'c', joins: 'false' } })).toEqual([]);
  (await refused({ w1: { mac: 'd' } })).toContain('marked for protection');
  await stack.up(program({ w1: { mac: 'c' } }));
});

test('one that has left goes with its lines', async () => {
  await stack.up(program({ w1: { mac: 'c', state: 'leaving' } }));
  expect(await release(partedResources(await state(), w1))).toEqual([MACHINE]);
  await stack.up(program({ w1: null }));
  expect(await names()).not.toContain(MACHINE);
});
