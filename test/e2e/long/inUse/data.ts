import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type ClusterLab, NOTHING } from '../../clusterLab';
import { expectExit, until } from '../../lab';
import { story } from '../../story';

/** What keeps a cluster alive: snapshots and the way back, keys and certificates made anew, a control plane that died. */
export function data(lab: ClusterLab): void {
  const step = story();
  const STEP_LIMIT_SECONDS = 1200;

  const uids = () => lab.kubectl(`get configmap/before secret/before -o jsonpath='{.items[*].metadata.uid}'`);
  const word = async () =>
    Buffer.from(await lab.kubectl(`get secret before -o jsonpath='{.data.word}'`), 'base64').toString();

  async function command(...args: string[]): Promise<string> {
    const result = await lab.sitewright(...args);
    expectExit(result, 0);
    return result.stdout;
  }

  const changesNothing = async () => expect(await lab.upCounts()).toMatchObject(NOTHING);

  describe('the data of a cluster', () => {
    step('comes back from a snapshot when it was destroyed, and what was made later does not', async () => {
      await lab.begin();
      await lab.kubectl('create configmap before --from-literal=a=b');
      await lab.kubectl('create secret generic before --from-literal=word=geheim');
      const before = await uids();
      await command('etcd', 'snapshot', lab.site, '--to', lab.folder);
      const file = readdirSync(lab.folder).find((name) => name.endsWith('.etcd-snapshot'))!;
      await lab.kubectl('create configmap after --from-literal=a=b');

      await lab.ssh('lab1', 'sudo rm -rf /var/lib/etcd/member');
      await command('etcd', 'restore', lab.site, '--from', join(lab.folder, file), '--yes');
      expect(await uids()).toBe(before);
      expect(await word()).toBe('geheim');
      await expect(lab.kubectl('get configmap after')).rejects.toThrow(/NotFound/);
      await until('the site serves again', STEP_LIMIT_SECONDS, async () => (await lab.verify()).code === 0);
      await changesNothing();
    });

    step('is saved by a timer, to a folder that must be there', async () => {
      lab.edit((text) =>
        text.replace(/^kubernetes:\n/m, 'kubernetes:\n  etcd:\n    snapshots:\n      directory: /srv/etcd\n'),
      );
      const refused = await lab.sitewright('up', lab.site, '--yes');
      expectExit(refused, 1);
      expect(refused.output).toContain('/srv/etcd: wanted a folder, found nothing');
      await lab.ssh('lab1', 'sudo mkdir /srv/etcd');
      await command('up', lab.site, '--yes');
      await lab.ssh('lab1', 'sudo systemctl start sitewright-etcd-snapshot.service');
      expect(await lab.ssh('lab1', 'sudo ls /srv/etcd')).toMatch(
        new RegExp(`^${lab.site}\\.lab1\\.[0-9TZ]+\\.etcd-snapshot$`),
      );
    });

    step('has its Secrets under another key, and stays readable', async () => {
      await command('secrets', 'rotate', lab.site, 'encryption-key');
      expect(await word()).toBe('geheim');
      const file = await lab.ssh('lab1', 'sudo cat /etc/kubernetes/sitewright/encryption.yaml');
      expect(file.match(/name: key[0-9]+/g)).toEqual(['name: key2']);
      await changesNothing();
    });

    step('is served with certificates that were renewed', async () => {
      const expiries = async () => {
        const { certificates } = JSON.parse(await command('certs', lab.site, '--json')) as {
          certificates: { where: string; name: string; expires: string }[];
        };
        // kubelet renews its own.
        const renewed = certificates.filter(({ where, name }) => where === 'lab1' && name !== 'kubelet.conf');
        return renewed.map(({ expires }) => expires);
      };
      const before = await expiries();
      await command('certs', lab.site, '--renew');
      const after = await expiries();
      for (const [index, expires] of after.entries()) expect(expires > before[index]!).toBe(true);
      expect(await word()).toBe('geheim');
    });

    step('is served again after the API server was taken away', async () => {
      await lab.ssh('lab1', 'sudo rm /etc/kubernetes/manifests/kube-apiserver.yaml; sudo systemctl stop kubelet');
      await lab.ssh('lab1', `sudo crictl stop $(sudo crictl ps --quiet --name '^kube-apiserver$')`);
      await command('up', lab.site, '--yes');
      expect(await word()).toBe('geheim');
      await until('the site serves again', STEP_LIMIT_SECONDS, async () => (await lab.verify()).code === 0);
      await changesNothing();
    });
  });
}
