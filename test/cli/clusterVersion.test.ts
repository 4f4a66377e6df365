import { join } from 'node:path';
import { checkClusterVersion, ETCD_OUTPUT, VERSION_OUTPUT } from '../../scripts/cli/clusterVersion';
import { makeContext } from '../../scripts/cli/context';
import { openSite } from '../../scripts/cli/site';

/** The committed lab, and what a state says that its last `up` has left. */
const context = makeContext({ stacks: join(__dirname, '../../stacks') });
const site = openSite(context, 'lab');
const wanted = site.plan.cluster!.kubernetesVersion;
const said: string[] = [];

const check = (outputs: Record<string, unknown>, now = '2026-11-21') =>
  checkClusterVersion(
    { say: (text) => said.push(text) },
    site,
    { outputs: () => Promise.resolve(outputs) },
    new Date(`${now}T12:00:00Z`),
  );

beforeEach(() => (said.length = 0));

test('the way back is refused as a mistake of the site file, with its place', async () => {
  await expect(check({ [VERSION_OUTPUT]: '1.36.99' })).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringMatching(
      new RegExp(`stacks/sites/lab\\.yaml:\\d+:\\d+ kubernetes\\.version: ${wanted} is older than the 1\\.36\\.99`),
    ),
  });
});

test('so is an older etcd under the same version', async () => {
  await expect(check({ [VERSION_OUTPUT]: wanted, [ETCD_OUTPUT]: '3.99.0' })).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringMatching(/kubernetes\.version: the bundle \S+ has etcd \S+, and 3\.99\.0 runs/),
  });
});

test('the same version, the next one, and a state that knows none are not', async () => {
  for (const outputs of [
    { [VERSION_OUTPUT]: wanted },
    { [VERSION_OUTPUT]: '1.36.0' },
    { [VERSION_OUTPUT]: wanted, [ETCD_OUTPUT]: '3.5.0' },
    { [VERSION_OUTPUT]: null },
    {},
  ]) {
    await check(outputs);
  }
  expect(said).toEqual([]);
});

test('a minor that gets no fixes any more is told', async () => {
  await check({}, site.plan.cluster!.supportedUntil);
  expect(said).toEqual([]);
  await check({}, '2030-01-01');
  expect(said).toEqual([expect.stringContaining('gets no fixes since')]);
});
