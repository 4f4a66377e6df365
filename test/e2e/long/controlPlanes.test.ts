import { ClusterLab } from '../clusterLab';
import { ALL_NODES, expectExit, type AnyNodeName, until } from '../lab';
import { story } from '../story';

/** A cluster of three control-plane nodes behind a virtual address: one becomes three, and each may be lost. */

const SITE = 'planes';
const VIP = '192.0.2.10';
const CASE_LIMIT_MILLISECONDS = 120 * 60 * 1000;
/** Three emulated control planes share the machine: what takes seconds elsewhere takes minutes here. */
const FAILOVER_LIMIT_SECONDS = 900;

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

const lab = new ClusterLab(SITE);
const step = story();

/** By the name of the cluster, so through the virtual address. */
const ready = (node: AnyNodeName) =>
  lab.kubectl('--request-timeout 60s get --raw /readyz', node).catch((error: Error) => error.message);

async function holders(): Promise<AnyNodeName[]> {
  const names = Object.keys(ALL_NODES) as AnyNodeName[];
  const found = await Promise.all(
    names.map(async (name) => (await lab.ssh(name, 'ip -o addr').catch(() => '')).includes(` ${VIP}/`)),
  );
  return names.filter((_, index) => found[index]);
}

const controlPlane = (name: string, host: number) => `    - name: ${name}
      role: control-plane
      addresses: [192.0.2.${host}/24, 2001:db8:0:2::${host}/64]
`;

afterAll(async () => {
  await lab.down();
  lab.remove();
});

describe('a lab with three control-plane nodes', () => {
  step('begins with one', async () => {
    await lab.fromNothing();
    lab.edit((text) => text.replace(/^ {2}nodes:\n(?: {4}.*\n)+/m, `  nodes:\n${controlPlane('lab1', 11)}`));
    expectExit(await lab.up(), 0);
    expect(await ready('lab1')).toBe('ok');
  });

  step('becomes three behind a virtual address by an edit, and loses nothing', async () => {
    const uid = () => lab.kubectl("get namespace default -o jsonpath='{.metadata.uid}'");
    const before = await uid();
    lab.edit((text) =>
      text
        .replace(controlPlane('lab1', 11), (first) => first + controlPlane('lab2', 12) + controlPlane('lab3', 13))
        .replace(/^ {2}version: (.*)$/m, `  version: $1\n  vip: ${VIP}`),
    );
    expectExit(await lab.sitewright('up', SITE, '--yes'), 0);
    expect(await uid()).toBe(before);
    const members = await lab.ssh(
      'lab1',
      'sudo /usr/local/bin/etcdctl --endpoints https://127.0.0.1:2379 ' +
        '--cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt ' +
        '--key /etc/kubernetes/pki/etcd/healthcheck-client.key member list',
    );
    expect(members.match(/, started, lab[123], .*, false$/gm)).toHaveLength(3);
    expect(await holders()).toHaveLength(1);
    expectExit(await lab.verify(), 0);
  });

  step('goes on without the node that held the address, and takes it in again', async () => {
    const [lost] = await holders();
    const [other] = (Object.keys(ALL_NODES) as AnyNodeName[]).filter((name) => name !== lost);
    await lab.virsh('destroy', `${SITE}-${lost}`);
    await until('the API through the address', FAILOVER_LIMIT_SECONDS, async () => (await ready(other!)) === 'ok');
    expect(await holders()).not.toContain(lost);
    await lab.virsh('start', `${SITE}-${lost}`);
    await until(`${lost} is Ready again`, FAILOVER_LIMIT_SECONDS, async () =>
      / Ready /.test(await lab.kubectl(`get node ${lost} --no-headers`, other)),
    );
    await until('the site is verified', FAILOVER_LIMIT_SECONDS, async () => {
      return (await lab.verify()).code === 0;
    });
  });

  step('lets the one that holds the address leave, and the two others go on', async () => {
    const [leaving] = await holders();
    const [other] = (Object.keys(ALL_NODES) as AnyNodeName[]).filter((name) => name !== leaving);
    lab.edit((text) => text.replace(`    - name: ${leaving}\n`, `$&      state: leaving\n`));
    expectExit(await lab.sitewright('up', SITE, '--yes'), 0);
    const held = await holders();
    expect(held).toHaveLength(1);
    expect(held).not.toContain(leaving);
    expect(await lab.ssh(leaving!, 'ls /etc/systemd/system')).not.toMatch(/^sitewright-(vip|api-proxy)\.service$/m);
    expect(await lab.ssh(other!, 'cat /etc/sitewright/vip/haproxy.cfg')).not.toContain(`server ${leaving} `);
    expect(await lab.kubectl('get nodes -o name', other)).not.toContain(leaving);
    expect(await ready(other!)).toBe('ok');
    expectExit(await lab.verify(), 0);
  });
});
