import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kubeadmDocuments } from '../../components/cluster/documents';
import { program } from '../plugins/kubernetes/apiServer';
import { clusterSite } from '../plan/clusterSite';
import { planOf } from '../plan/site';

test('the real kubeadm writes the static pods of a node that joined beside those that run', () => {
  const { cluster, nodes } = planOf(clusterSite());
  const folder = mkdtempSync(join(tmpdir(), 'sitewright-kubeadm-'));
  try {
    const config = join(folder, 'kubeadm.conf');
    writeFileSync(config, kubeadmDocuments(cluster!, nodes[1]!.cluster!));
    for (const phase of ['etcd local', 'control-plane all']) {
      const { status, stderr } = spawnSync(
        program('kubernetes', 'kubeadm'),
        ['init', 'phase', ...phase.split(' '), '--dry-run', '--config', config],
        { encoding: 'utf8', env: { ...process.env, KUBEADM_INIT_DRYRUN_DIR: folder } },
      );
      expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    }
    const names = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'].map((name) => `${name}.yaml`);
    expect(
      readdirSync(folder)
        .filter((name) => name.endsWith('.yaml'))
        .sort(),
    ).toEqual(names);
    const text = (name: string) => readFileSync(join(folder, `${name}.yaml`), 'utf8');
    expect(text('kube-apiserver')).toContain('--advertise-address=192.0.1.12\n');
    expect(text('kube-apiserver')).toContain('--permit-port-sharing=true\n');
    // The line that an etcd of a joined node must not get.
    expect(text('etcd')).toContain('    - --initial-cluster=cp2=https://192.0.1.12:2380\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
