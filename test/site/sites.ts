import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as pulumi from '@pulumi/pulumi';
import { MockMonitor } from '@pulumi/pulumi/runtime/mocks';
import { parse, parseDocument } from 'yaml';
import { computePlan, formatProblem, loadSite, Site, toProblems, type SitePlan } from '../../components';
import { wantedArtifacts } from '../../components/bundle/contents';
import { LOCK_SCHEMA_VERSION, type BundleLock } from '../../components/bundle/lock';
import { generateSshKey } from '../../components/secrets/hostKey';
import { mintPki, type ClusterPki } from '../../components/secrets/pki';
import type { SiteCluster } from '../../components/site';
import { version } from '../../package.json';
import { accessOf } from '../machines/vsphereStandIn';
import { stacksFolder } from '../spec/stacksFolder';
import { recordProgram, type RecordedResource } from '../support/recordingMonitor';

export const repoRoot = join(__dirname, '../..');
export const EXAMPLE_SITES = ['lab', 'kvm-example', 'existing-example'] as const;

/** Planted: nothing may show them. The seed is fixed, because public host keys are derived from it. */
export const userKey = generateSshKey('site test');
export const hostKeySeed = Buffer.from('a seed of thirty-two bytes here.').toString('base64');

export let clusterPki: ClusterPki;
beforeAll(async () => {
  clusterPki = await mintPki('site-test', new Date());
});

/** Path in the site file and its new value. */
export type Edit = [path: (string | number)[], value: unknown];

/** The machines as the site file has them. */
export function nodesOf(site: string): unknown[] {
  const text = readFileSync(join(repoRoot, 'stacks/sites', `${site}.yaml`), 'utf8');
  return (parse(text) as { machines: { nodes: unknown[] } }).machines.nodes;
}

/** The plan of an example site as the stacks program passes it on, optionally with edits of the site file. */
export const planOf = (site: string, ...edits: Edit[]): SitePlan => planFrom(join(repoRoot, 'stacks'), site, ...edits);

/** As `planOf`, with the sites and profiles of another folder. */
export function planFrom(stacks: string, site: string, ...edits: Edit[]): SitePlan {
  const texts: Record<string, string> = {};
  for (const folder of ['sites', 'profiles'])
    for (const name of readdirSync(join(stacks, folder)))
      texts[`${folder}/${name}`] = readFileSync(join(stacks, folder, name), 'utf8');
  const document = parseDocument(texts[`sites/${site}.yaml`]!);
  for (const [path, value] of edits) document.setIn(path, document.createNode(value));
  const stacksDir = stacksFolder({ ...texts, [`sites/${site}.yaml`]: document.toString() });

  const loaded = loadSite({ stacksDir, site, kitVersion: version });
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  const { plan, findings } = computePlan(loaded.spec, version);
  if (plan === null) throw new Error(toProblems(findings, loaded.source).map(formatProblem).join('\n'));
  return withLabImage(plan);
}

/** What the stacks program fills in for a lab that is up. */
function withLabImage(plan: SitePlan): SitePlan {
  const { kvm } = plan.machines;
  if (kvm?.image !== 'lab') return plan;
  const images = '/var/cache/example';
  return {
    ...plan,
    machines: {
      ...plan.machines,
      kvm: {
        ...kvm,
        hypervisors: kvm.hypervisors.map((hypervisor) => ({ ...hypervisor, domainType: 'qemu' })),
        image: {
          path: `${images}/root.qcow2`,
          url: null,
          sha256: 'ab'.repeat(32),
          format: 'qcow2',
          kernel: {
            path: `${images}/vmlinuz`,
            sha256: 'cd'.repeat(32),
            initrd: `${images}/initrd.img`,
            initrdSha256: 'ef'.repeat(32),
            arguments: 'root=LABEL=root ro console=ttyS0',
          },
        },
      },
    },
  };
}

export interface RecordedSite {
  resources: RecordedResource[];
  byName: Map<string, RecordedResource>;
  /** What each component registered as its outputs, by its name; secrets still carry their marks. */
  registered: Record<string, Record<string, unknown>>;
  /** What the program would return as outputs of the stack, resolved. Empty in a preview, where they are not known. */
  outputs: unknown[];
}

const STATE_IDENTITY = '4b1d2c3e-0000-4000-8000-5a5a5a5a5a5a';

export async function recordSite(plan: SitePlan, { preview }: { preview: boolean }): Promise<RecordedSite> {
  let site: Site | undefined;
  const registered: RecordedSite['registered'] = {};
  const spy = jest.spyOn(MockMonitor.prototype, 'registerResourceOutputs').mockImplementation((req, callback) => {
    registered[req.getUrn().split('::').pop()] = req.getOutputs()?.toJavaScript() ?? {};
    callback(null, {});
  });
  const resources = await recordProgram(
    () => {
      const secrets = { sshPrivateKey: pulumi.secret(userKey.privateKey), hostKeySeed: pulumi.secret(hostKeySeed) };
      const { vsphere } = plan.machines;
      site = new Site(plan.site, {
        plan,
        secrets,
        cluster: siteCluster(plan),
        vsphere: vsphere === null ? null : accessOf(vsphere),
        identity: null,
      });
    },
    { preview, stack: plan.site, outputs: ({ name, inputs }) => ({ ...inputs, stdout: stdoutOf(name) }) },
  );
  spy.mockRestore();
  const byName = new Map(resources.map((resource) => [resource.name, resource]));
  const resolved = (output: pulumi.Output<unknown>) => new Promise((resolve) => output.apply(resolve));
  const outputs = preview ? [] : await Promise.all([resolved(site!.nodes), resolved(site!.proof)]);
  return { resources, byName, registered, outputs };
}

/** A bundle that holds what the plan wants, under made-up checksums, and keys. */
function siteCluster({ cluster }: SitePlan): SiteCluster | null {
  if (cluster === null) return null;
  const artifacts = wantedArtifacts(cluster.bundle).map((wanted) => ({
    ...wanted,
    source: 'a source',
    sha256: 'ef'.repeat(32),
    sizeBytes: 1,
    licence: 'Apache-2.0',
  }));
  const { name, from } = cluster.bundle;
  const lock: BundleLock = { schemaVersion: LOCK_SCHEMA_VERSION, name, from, artifacts };
  return {
    bundle: {
      ...{ id: 'b1'.repeat(32), isoSha256: 'b2'.repeat(32), lock },
      // Manifests of releases would be read in it.
      folder: cluster.calico === null ? '/nowhere' : null,
    },
    pki: pulumi.secret(clusterPki),
    bgpPasswords: {},
    registryPasswords: {},
    ingressKey: null,
  };
}

/** What each command prints, cut down to what its reader needs. */
function stdoutOf(name: string): string {
  if (name.endsWith('-identity')) return STATE_IDENTITY;
  if (name.endsWith('-prepare')) return JSON.stringify({ schemaVersion: 1, kernel: `kernel of ${name}` });
  if (name.includes('-proof-')) return JSON.stringify({ facts: { of: name }, findings: [] });
  return '';
}
