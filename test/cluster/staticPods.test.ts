import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kubeadmDocuments } from '../../components/cluster/documents';
import { STATIC_POD_FILES } from '../../components/cluster/node/controlPlane';
import { staticPodFiles, staticPodFileValues } from '../../components/cluster/nodeScripts';
import { assignment } from '../../components/nodes/bash';
import { CORE } from '../../components/nodes/prep/core';
import { STATIC_POD_PATCHES_FOLDER } from '../../components/plan/clusterPaths';
import { program } from '../plugins/kubernetes/apiServer';
import { clusterSite } from '../plan/clusterSite';
import { planOf } from '../plan/site';

const STATIC_PODS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];

/** As kubeadm would write them with these documents, by their names. */
function writeStaticPods(folder: string, documents: string): (name: string) => string {
  const config = join(folder, 'kubeadm.conf');
  writeFileSync(config, documents);
  for (const phase of ['etcd local', 'control-plane all']) {
    const { status, stderr } = spawnSync(
      program('kubernetes', 'kubeadm'),
      ['init', 'phase', ...phase.split(' '), '--dry-run', '--config', config],
      { encoding: 'utf8', env: { ...process.env, KUBEADM_INIT_DRYRUN_DIR: folder } },
    );
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  }
  return (name) => readFileSync(join(folder, `${name}.yaml`), 'utf8');
}

test('the real kubeadm writes the static pods of a node that joined beside those that run', () => {
  const { cluster, nodes } = planOf(clusterSite());
  const folder = mkdtempSync(join(tmpdir(), 'sitewright-kubeadm-'));
  try {
    const text = writeStaticPods(folder, kubeadmDocuments(cluster!, nodes[1]!.cluster!));
    expect(
      readdirSync(folder)
        .filter((name) => name.endsWith('.yaml'))
        .sort(),
    ).toEqual(STATIC_PODS.map((name) => `${name}.yaml`));
    expect(text('kube-apiserver')).toContain('--advertise-address=192.0.1.12\n');
    expect(text('kube-apiserver')).toContain('--permit-port-sharing=true\n');
    // The line that an etcd of a joined node must not get.
    expect(text('etcd')).toContain('    - --initial-cluster=cp2=https://192.0.1.12:2380\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the real kubeadm takes what the kit changes of the static pods of an emulated control plane', () => {
  const { cluster, nodes } = planOf({ ...clusterSite(), environment: 'lab' });
  const folder = mkdtempSync(join(tmpdir(), 'sitewright-kubeadm-'));
  try {
    const patches = join(folder, 'patches');
    const values = staticPodFileValues(staticPodFiles(cluster!)).map(([name, value]) => assignment(name, value));
    const files = `AUDIT_POLICY_FILE=${folder}/audit ADMISSION_FILE=${folder}/admission`;
    const data = values.join('').replaceAll(STATIC_POD_PATCHES_FOLDER, patches);
    const script = `set -u; CHANGES=0 RUN_DIR=${folder} AUDIT_LOG=${folder}/log\n${CORE}\n${data}\n${files}\n${STATIC_POD_FILES}\nstatic_pod_files`;
    expect(spawnSync('bash', ['-s'], { input: script, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    const config = kubeadmDocuments(cluster!, nodes[0]!.cluster!).replaceAll(STATIC_POD_PATCHES_FOLDER, patches);
    const written = writeStaticPods(folder, config);
    for (const name of STATIC_PODS) {
      expect(written(name)).toMatch(/livenessProbe:\n +failureThreshold: 60\n/);
      const asked = /readinessProbe:\n(?: {6}.*\n)*? {6}periodSeconds: (\d+)\n/.exec(written(name));
      expect([name, asked?.[1]]).toEqual([name, name === 'kube-controller-manager' ? undefined : '10']);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
