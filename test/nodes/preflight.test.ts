import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { assignment } from '../../components/nodes/bash';
import { CERTIFICATES } from '../../components/nodes/prep/certificates';
import { CORE } from '../../components/nodes/prep/core';
import { PREFLIGHT } from '../../components/nodes/prep/preflight';
import { SYSTEM } from '../../components/nodes/prep/system';
import { planNeededVersions } from '../../components/plan/kernel';
import { mintPki } from '../../components/secrets/pki';
import { siteSchema } from '../../components/spec/schema';
import { clusterSite } from '../plan/clusterSite';

/** What makes a machine unfit as a node, on files of a folder of their own and with stand-ins for its programs. */
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-preflight-'));
  file('etc/os-release', 'ID=debian\nVERSION_ID=12\nPRETTY_NAME="Debian 12"\n');
  file('sys/fs/cgroup/cgroup.controllers', 'cpu memory');
  file('proc/swaps', 'Filename Type Size Used Priority\n');
  file('proc/meminfo', 'MemTotal: 4096000 kB\nMemAvailable: 1024000 kB\n');
  mkdirSync(join(folder, 'etc/systemd/system'), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
}

function preflight({ swap = 'off', kernel = '6.1.0-50-cloud-amd64', nft = '1.0.6', versions = [] as string[] } = {}): {
  refusals: string[];
  status: number | null;
} {
  const library = [CORE, SYSTEM, CERTIFICATES, PREFLIGHT].join('\n').replace(/\/(etc|proc|sys\/fs)\//g, `${folder}$&`);
  const standIns =
    'systemd-detect-virt() { return 1; }; find_missing_packages() { MISSING_PACKAGES=(); }; ip_snapshot() { :; }; ' +
    `nft() { echo 'nftables v${nft} (Lester Gooch #5)'; }; ` +
    'find_interface() { :; }; check_ingress_ports() { :; }; audit() { echo changed >>"$FOLDER/changed"; }';
  const needed = assignment('NEEDED_VERSIONS', versions);
  const { stderr, status } = spawnSync('bash', ['-s'], {
    input: `set -u; export LC_ALL=C FOLDER=${folder}; SWAP=${swap} STAMP_FILE=$FOLDER/stamp INITIALISED=$FOLDER/initialised SITE=oslo STAMP_ID=1\nKERNEL=${kernel}\n${needed}${library}\n${standIns}\npreflight`,
    encoding: 'utf8',
  });
  expect(existsSync(join(folder, 'changed'))).toBe(false);
  const refusals = stderr.split('\n').filter((line) => line.startsWith('error: '));
  return { refusals: refusals.map((line) => line.slice('error: '.length)), status };
}

test('a machine that can be a node is not refused', () => {
  file('proc/swaps', 'Filename Type Size Used Priority\n/dev/vdb partition 2097148 1000 -2\n');
  symlinkSync('/dev/null', join(folder, 'etc/systemd/system/dev-vdb.swap'));
  expect(preflight()).toEqual({ refusals: [], status: 0 });
});

test('cgroup v1, another distribution and swap that cannot be turned off are told together', () => {
  rmSync(join(folder, 'sys/fs/cgroup/cgroup.controllers'));
  file('etc/os-release', 'ID=debian\nVERSION_ID=10\nPRETTY_NAME="Debian 10"\n');
  file('proc/swaps', 'Filename Type Size Used Priority\n/swap file 4194300 2048000 -2\n/dev/vdb partition 100 0 -3\n');
  file('etc/systemd/system/own.swap', '[Swap]\nWhat=/swap\n');
  const { refusals, status } = preflight();
  expect(status).toBe(1);
  expect(refusals).toEqual([
    expect.stringMatching(/^the distribution is Debian 10; /),
    expect.stringMatching(/^cgroup v2 is not mounted at .*, and kubelet refuses v1: remove /),
    expect.stringMatching(/^swap is to be off, and a unit file in \/etc cannot be masked: remove .*own\.swap, /),
    expect.stringMatching(/^swap is to be off and holds 2000 MiB, and only 1000 MiB of memory are free for them: /),
  ]);
  expect(preflight({ swap: 'keep' }).refusals).toHaveLength(2);
});

test('a kernel or an nft that is too old for what the site asks for is refused before anything changes', () => {
  const versions = (network: object, mode: string) =>
    planNeededVersions(
      siteSchema.parse(clusterSite({ network: { cni: 'calico', ...network }, more: { kubeProxy: { mode } } })),
    ).map(({ what, atLeast, by }) => `${what} ${atLeast} ${by}`);
  const nftables = versions({ calico: { dataplane: 'nftables' } }, 'nftables');
  const old = { kernel: '5.9.16-1', nft: '0.9.8' };
  const proxy =
    'kernel is 5.9.16-1, and kube-proxy in mode nftables (kubeProxy.mode) needs 5.13 or newer: install a newer kernel, or change that key of the site file';
  expect(preflight({ ...old, versions: nftables })).toEqual({
    refusals: [
      proxy,
      expect.stringMatching(/^kernel is 5.9.16-1, and Calico's nftables dataplane .* needs 5.13 or newer/),
      expect.stringMatching(/^nft is 0.9.8, and Calico's nftables dataplane .* needs 1.0.1 or newer/),
    ],
    status: 1,
  });
  expect(preflight({ ...old, versions: versions({ cni: 'routes' }, 'nftables') }).refusals).toEqual([proxy]);
  expect(preflight({ ...old, versions: versions({}, 'ipvs') }).refusals).toEqual([
    expect.stringMatching(/^kernel is 5.9.16-1, and Calico \(network.cni\) needs 5.10 or newer/),
  ]);
  expect(preflight({ ...old, versions: versions({ cni: 'routes' }, 'ipvs') }).refusals).toEqual([]);
  for (const kernel of ['5.13.0', '5.15.0-91-generic', '6.1.0-50-cloud-amd64', '10.0.1']) {
    expect(preflight({ kernel, nft: '1.0.1', versions: nftables }).refusals).toEqual([]);
  }
});

describe('a member of a cluster', () => {
  const daysFromNow = (days: number) => new Date(Date.now() + days * 86_400_000);
  const member = async (made: Date) => {
    const { ca, admin } = await mintPki('oslo', made);
    file('etc/kubernetes/pki/ca.crt', ca.certificate);
    file('etc/kubernetes/pki/apiserver.crt', admin.certificate);
    const data = Buffer.from(admin.certificate).toString('base64');
    file('etc/kubernetes/admin.conf', `users:\n- name: admin\n  user:\n    client-certificate-data: ${data}\n`);
    file('etc/kubernetes/kubelet.conf', 'users:\n- user:\n    client-certificate: /nowhere/current.pem\n');
  };

  test('of the control plane with certificates that cannot be used is refused, with all of them', async () => {
    await member(daysFromNow(-400));
    expect(preflight()).toEqual({ refusals: [], status: 0 });
    file('initialised', '');
    const path = (name: string) => join(folder, 'etc/kubernetes', name);
    expect(preflight().refusals).toEqual([
      `expired on this machine: ${path('pki/apiserver.crt')} ${path('admin.conf')} ${path('kubelet.conf')}. ` +
        "Nothing was changed: renew them with 'sitewright certs oslo --renew', or correct the machine's clock, and run again",
    ]);
    await member(new Date());
    expect(preflight().refusals).toEqual([
      expect.stringContaining(`expired on this machine: ${path('kubelet.conf')}.`),
    ]);
  });

  test('whose clock is before its authority is refused by that alone, a worker too', async () => {
    await member(daysFromNow(30));
    file('initialised', '');
    expect(preflight().refusals).toEqual([
      expect.stringMatching(/^the clock of this machine says .*Nothing was changed/),
    ]);
    rmSync(join(folder, 'initialised'));
    expect(preflight().refusals).toHaveLength(1);
    // Somebody's own, or what a crash has left of it.
    file('etc/kubernetes/pki/ca.crt', 'PEM\n');
    expect(preflight()).toEqual({ refusals: [], status: 0 });
  });
});
