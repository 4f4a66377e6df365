import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { wantedArtifacts } from '../../components/bundle/contents';
import { LOCK_FILE, LOCK_SCHEMA_VERSION, type BundleLock } from '../../components/bundle/lock';
import type { BundlePlan } from '../../components/plan';
import { releaseText } from '../addons/ingress/sites';
import type { TestKit } from '../cli/kit';

/** What a site needs around it to be built by the real engine where there are no machines. */

/** How a machine of the site is reached: an sshd of the tests that runs `node` for every command. */
export interface Reached {
  port: number;
  user: string;
  hostKey: string;
}

/** Every kind of secret that a site with a cluster can have is asked for. */
export function siteText(
  name: string,
  { ssh, apiPort, certificate }: { ssh: Reached; apiPort: number; certificate: string },
): string {
  const machine = (machineName: string, role: string, host: number) => ({
    // The name of the site is searched for wherever a secret is: so it is in what machines are told, too.
    name: `${name}-${machineName}`,
    role,
    addresses: [`192.0.2.${host}/24`],
    ssh: { hostKey: ssh.hostKey, host: '127.0.0.1', port: ssh.port },
  });
  return stringify({
    name,
    kit: '*',
    environment: 'staging',
    underlay: { subnets: [{ name: 'one', cidrs: ['192.0.2.0/24'], gateways: ['192.0.2.1'] }] },
    machines: {
      provider: 'existing',
      ssh: { user: ssh.user },
      nodes: [machine('cp1', 'control-plane', 11), machine('w1', 'worker', 21)],
    },
    kubernetes: {
      version: '1.36.1',
      endpoint: { host: '127.0.0.1', port: apiPort },
      etcd: { snapshots: { directory: '/var/backups/etcd' } },
    },
    kubeProxy: { mode: 'iptables' },
    registries: [{ name: 'registry.example.test', username: 'puller' }],
    network: {
      cni: 'calico',
      routing: 'bgp',
      calico: {
        bgp: { peers: [{ name: 'tor', address: '192.0.2.1', asNumber: 64601, passwordFrom: 'tor' }] },
      },
    },
    ingress: { certificate },
  });
}

/** A bundle of the team as far as the engine's machine looks at it: real manifests, everything else a few bytes. */
export function placeBundle(kit: TestKit, plan: BundlePlan): void {
  const contents = new Map(
    wantedArtifacts(plan).map((wanted) => [
      wanted.path,
      wanted.kind === 'manifest' ? releaseText(plan, wanted.path.slice('manifests/'.length)) : `${wanted.path}\n`,
    ]),
  );
  const artifacts = wantedArtifacts(plan).map((wanted) => ({
    ...wanted,
    source: 'test',
    sha256: sha256(contents.get(wanted.path)!),
    sizeBytes: Buffer.byteLength(contents.get(wanted.path)!),
    licence: 'Apache-2.0',
  }));
  const lock: BundleLock = { schemaVersion: LOCK_SCHEMA_VERSION, name: plan.name, from: plan.from, artifacts };
  const text = JSON.stringify(lock);
  const write = (file: string, content: string) => {
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, content);
  };
  const bundles = join(kit.home, '.cache/sitewright/bundles');
  // Those of the person who runs the tests.
  rmSync(bundles, { recursive: true, force: true });
  const id = sha256(text);
  write(join(kit.stacks, 'bundles', `${plan.name}.lock.json`), text);
  write(join(bundles, id, LOCK_FILE), text);
  for (const [path, content] of contents) write(join(bundles, id, path), content);
  write(join(bundles, `${id}.iso`), 'iso');
  write(join(bundles, `${id}.iso.sha256`), `${sha256('iso')}\n`);
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/**
 * In place of what measures machines: reads its request as ever, and finds nothing wrong. What puts a site together stays
 * the kit's own, its log-ins to machines included.
 */
export function standInForProbes(kit: TestKit): void {
  const passed = (facts: string) => `async (request) => ({ facts: ${facts}, findings: [] })`;
  const node = passed("{ kind: 'node', node: request.node.name }");
  const ends = 'a: request.a.name, b: request.b.name, directions: [], roundTrips: []';
  const pair = passed(`{ kind: 'pair', encapsulation: 'none', ${ends} }`);
  writeFileSync(
    join(kit.dir, 'bin/components/proof/prove.js'),
    `exports.proveNode = ${node};\nexports.provePair = ${pair};\n`,
  );
  const cluster = passed("{ kind: 'cluster', nodes: [], pods: { skipped: 'a stand-in' }, calico: null }");
  const probe = join(kit.dir, 'bin/components/clusterProbe/index.js');
  writeFileSync(probe, `${readFileSync(probe, 'utf8')}\nexports.probeCluster = ${cluster};\n`);
}

/** What one machine of the site was given and asked. */
export class NodeRecord {
  constructor(private readonly dir: string) {
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'node'), NODE, { mode: 0o755 });
  }

  /** For sshd_config. */
  get forceCommand(): string {
    return `ForceCommand NODE_DIR='${this.dir}' exec bash '${join(this.dir, 'node')}'`;
  }

  /** From now on a machine that is given this says it on its stderr, with the lines after it, and fails. */
  failAt(given: string): void {
    writeFileSync(join(this.dir, 'broken'), given);
  }

  /** What sshd would have started: arguments, for everyone on the machine to read. */
  commands(): string {
    return readFileSync(join(this.dir, 'commands'), 'utf8');
  }

  /** What came by stdin, which nobody else can read. */
  given(): string {
    const files = readdirSync(this.dir).filter((name) => name.startsWith('given.'));
    return files.map((name) => readFileSync(join(this.dir, name), 'utf8')).join('\n');
  }
}

/** Token of a join, as `kubeadm token create` would have it. */
export const JOIN_TOKEN = 'pl4nt3.0123456789abcdef';

const NODE = `#!/bin/bash
printf '%s\\n' "$SSH_ORIGINAL_COMMAND" >>"$NODE_DIR/commands"
given=$(mktemp "$NODE_DIR/given.XXXXXX")
cat >"$given"
if [ -e "$NODE_DIR/broken" ] && grep -q -f "$NODE_DIR/broken" "$given"; then
  # What is said last is what is told.
  grep -f "$NODE_DIR/broken" -A 4 "$given" | tail -n 12 >&2
  exit 1
fi
case $SSH_ORIGINAL_COMMAND in 'exec bash -c'*) echo complete ;; esac
has() { grep -q -- "$1" "$given"; }
if has "^ACTION='look'"; then echo '{"member": false, "initialised": false, "mark": "", "versions": []}'
elif has "^ACTION='invite'"; then echo '${JOIN_TOKEN}'
elif has "^TOKEN=''"; then echo '{"membership": "stranger", "etcd": "kept"}'
elif has '/etc/sysctl.d/k8s-net.conf'; then echo '{"schemaVersion": 1, "kernel": "6.1.0"}'
fi
`;
