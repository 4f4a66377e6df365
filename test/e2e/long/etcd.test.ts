import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expectExit, Lab, until } from '../lab';
import { story } from '../story';

/** What keeps a cluster alive: snapshots and the way back, keys and certificates made anew, a control plane that died. */

const SITE = 'etcd';
const CASE_LIMIT_MILLISECONDS = 60 * 60 * 1000;
const STEP_LIMIT_SECONDS = 1200;

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

const lab = new Lab(SITE, { cluster: true });
const step = story();

const kubectl = (words: string) =>
  lab.ssh('lab1', `sudo /usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf ${words}`);
const uids = () => kubectl(`get configmap/before secret/before -o jsonpath='{.items[*].metadata.uid}'`);
const word = async () =>
  Buffer.from(await kubectl(`get secret before -o jsonpath='{.data.word}'`), 'base64').toString();

async function command(...args: string[]): Promise<string> {
  const result = await lab.sitewright(...args);
  expectExit(result, 0);
  return result.stdout;
}

async function changesNothing(): Promise<void> {
  const { counts } = JSON.parse(await command('up', SITE, '--json', '--yes')) as { counts: Record<string, number> };
  expect(counts).toMatchObject({ create: 0, update: 0, delete: 0, replace: 0 });
}

afterAll(async () => {
  await lab.down();
  lab.remove();
});

describe('the data of a cluster', () => {
  step('comes back from a snapshot when it was destroyed, and what was made later does not', async () => {
    await lab.host('down', '--name', SITE);
    expectExit(await lab.up(), 0);
    await kubectl('create configmap before --from-literal=a=b');
    await kubectl('create secret generic before --from-literal=word=geheim');
    const before = await uids();
    await command('etcd', 'snapshot', SITE, '--to', lab.folder);
    const file = readdirSync(lab.folder).find((name) => name.endsWith('.etcd-snapshot'))!;
    await kubectl('create configmap after --from-literal=a=b');

    await lab.ssh('lab1', 'sudo rm -rf /var/lib/etcd/member');
    await command('etcd', 'restore', SITE, '--from', join(lab.folder, file), '--yes');
    expect(await uids()).toBe(before);
    expect(await word()).toBe('geheim');
    await expect(kubectl('get configmap after')).rejects.toThrow(/NotFound/);
    await until(
      'the site serves again',
      STEP_LIMIT_SECONDS,
      async () => (await lab.sitewright('verify', SITE)).code === 0,
    );
    await changesNothing();
  });

  step('is saved by a timer, to a folder that must be there', async () => {
    lab.edit((text) =>
      text.replace(/^kubernetes:\n/m, 'kubernetes:\n  etcd:\n    snapshots:\n      directory: /srv/etcd\n'),
    );
    const refused = await lab.sitewright('up', SITE, '--yes');
    expectExit(refused, 1);
    expect(refused.output).toContain('/srv/etcd: wanted a folder, found nothing');
    await lab.ssh('lab1', 'sudo mkdir /srv/etcd');
    await command('up', SITE, '--yes');
    await lab.ssh('lab1', 'sudo systemctl start sitewright-etcd-snapshot.service');
    expect(await lab.ssh('lab1', 'sudo ls /srv/etcd')).toMatch(/^etcd\.lab1\.[0-9TZ]+\.etcd-snapshot$/);
  });

  step('has its Secrets under another key, and stays readable', async () => {
    await command('secrets', 'rotate', SITE, 'encryption-key');
    expect(await word()).toBe('geheim');
    const file = await lab.ssh('lab1', 'sudo cat /etc/kubernetes/sitewright/encryption.yaml');
    expect(file.match(/name: key[0-9]+/g)).toEqual(['name: key2']);
    await changesNothing();
  });

  step('is served with certificates that were renewed', async () => {
    const expiries = async () => {
      const { certificates } = JSON.parse(await command('certs', SITE, '--json')) as {
        certificates: { where: string; name: string; expires: string }[];
      };
      return certificates.filter(({ where }) => where === 'lab1').map(({ expires }) => expires);
    };
    const before = await expiries();
    await command('certs', SITE, '--renew');
    const after = await expiries();
    for (const [index, expires] of after.entries()) expect(expires > before[index]!).toBe(true);
    expect(await word()).toBe('geheim');
  });

  step('is served again after the API server was taken away', async () => {
    await lab.ssh('lab1', 'sudo rm /etc/kubernetes/manifests/kube-apiserver.yaml; sudo systemctl stop kubelet');
    await lab.ssh('lab1', `sudo crictl stop $(sudo crictl ps --quiet --name '^kube-apiserver$')`);
    await command('up', SITE, '--yes');
    expect(await word()).toBe('geheim');
    await until(
      'the site serves again',
      STEP_LIMIT_SECONDS,
      async () => (await lab.sitewright('verify', SITE)).code === 0,
    );
    await changesNothing();
  });
});
