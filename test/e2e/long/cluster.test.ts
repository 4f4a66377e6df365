import { Capture } from '../capture';
import { expectExit, Lab, NODES, type NodeName, type Result, until } from '../lab';
import { story } from '../story';

/** The lab with its cluster, from nothing: what `./scripts/up lab` gives, and what an edit of it changes. */

const SITE = 'cluster';
const CASE_LIMIT_MILLISECONDS = 45 * 60 * 1000;
const STEP_LIMIT_SECONDS = 1200;
const NODE_NAMES = Object.keys(NODES) as NodeName[];

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

const lab = new Lab(SITE, { cluster: true });
const step = story();

const kubectl = (words: string) =>
  lab.ssh('lab1', `sudo /usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf ${words}`);

async function upCounts(): Promise<Record<string, number>> {
  const result = await lab.sitewright('up', SITE, '--json', '--yes');
  expectExit(result, 0);
  return (JSON.parse(result.stdout) as { counts: Record<string, number> }).counts;
}

const verify = (): Promise<Result> => lab.sitewright('verify', SITE);

async function rebooted(node: NodeName): Promise<void> {
  const bootId = () => lab.ssh(node, 'cat /proc/sys/kernel/random/boot_id');
  const first = await bootId();
  // The connection drops with the machine: what counts is that another boot answers.
  await lab.ssh(node, 'sudo systemctl reboot').catch(() => undefined);
  await until(`${node} is back`, STEP_LIMIT_SECONDS, async () => (await bootId().catch(() => first)) !== first);
}

let capture: Capture | undefined;

afterAll(async () => {
  capture?.abandon();
  await lab.down();
  lab.remove();
});

describe('a lab with a cluster', () => {
  step('comes up from nothing and is verified', async () => {
    await lab.host('down', '--name', SITE);
    expectExit(await lab.host('up', '--name', SITE), 0);
    capture = await Capture.start(SITE);
    expectExit(await lab.up(), 0);
    const nodes = await kubectl('get nodes --no-headers');
    for (const node of NODE_NAMES) expect(nodes).toMatch(new RegExp(`^${node} +Ready `, 'm'));
    const table = await lab.ssh('lab2', 'sudo ipvsadm -Ln');
    expect(table).toMatch(/^TCP +10\.96\.0\.1:443 rr\n +-> 192\.0\.2\.11:6443/m);
    expect(table).toMatch(/^UDP +10\.96\.0\.10:53 rr\n +-> 10\.244\./m);
    expectExit(await verify(), 0);
  });

  step('has no way out, and sent neither TCP nor DNS out of its site', async () => {
    for (const node of NODE_NAMES) {
      // Its gateway is the lab's own end, which forwards nothing: what wanted to leave would be seen there.
      expect(await lab.ssh(node, 'timeout 5 bash -c ": </dev/tcp/203.0.113.9/443" 2>&- || echo closed')).toBe('closed');
      expect(await lab.ssh(node, 'getent hosts registry.k8s.io || echo unknown')).toBe('unknown');
    }
    const { leaving, names } = await capture!.stop();
    // What was tried above, which shows that the capture sees what it is to see, and nothing else.
    expect(leaving.filter((line) => !line.includes(' > 203.0.113.9.443: '))).toEqual([]);
    expect(leaving).not.toEqual([]);
    expect(names.filter((name) => /registry|docker|quay|gcr|ghcr|pkg\.dev/.test(name))).toEqual(['registry.k8s.io']);
  });

  step('changes nothing on a second up', async () => {
    expect(await upCounts()).toMatchObject({ create: 0, update: 0, delete: 0, replace: 0 });
  });

  step('comes back by itself when each node has been restarted', async () => {
    for (const node of NODE_NAMES) {
      await rebooted(node);
      await until(`${node} serves again`, STEP_LIMIT_SECONDS, async () => (await verify()).code === 0);
    }
  });

  step('gets another scheduler and resolver settings in place', async () => {
    lab.edit((text) => `${text}\nkubeProxy:\n  scheduler: wlc\ndns:\n  pods:\n    ndots: 2\n`);
    const counts = await upCounts();
    expect(counts).toMatchObject({ delete: 0, replace: 0 });
    for (const node of NODE_NAMES) {
      expect(await lab.ssh(node, 'sudo ipvsadm -Ln')).toMatch(/^TCP +10\.96\.0\.1:443 wlc$/m);
    }
    expectExit(await verify(), 0);
    const image = await kubectl(
      `get pods -n kube-system -l k8s-app=kube-proxy -o jsonpath='{.items[0].spec.containers[0].image}'`,
    );
    await kubectl(`run look --image=${image} --image-pull-policy=Never --restart=Never --command -- sleep 3600`);
    await kubectl('wait pod/look --for=condition=Ready --timeout=300s');
    expect(await kubectl('exec look -- cat /etc/resolv.conf')).toMatch(/^options ndots:2$/m);
  });
});
