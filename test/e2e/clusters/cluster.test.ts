import { Capture } from '../capture';
import { ClusterLab, NOTHING, TOOLBOX } from '../clusterLab';
import { expectExit, NODES, type NodeName, until } from '../lab';
import { story } from '../story';

/** The lab with its cluster, from nothing: what `./scripts/up lab` gives, and what an edit of it changes. */

const SITE = 'cluster';
const CASE_LIMIT_MILLISECONDS = 45 * 60 * 1000;
const STEP_LIMIT_SECONDS = 1200;
const NODE_NAMES = Object.keys(NODES) as NodeName[];

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

const lab = new ClusterLab(SITE);
const step = story();

const bootId = (node: NodeName) => lab.ssh(node, 'cat /proc/sys/kernel/random/boot_id');

async function rebooted(node: NodeName): Promise<void> {
  const first = await bootId(node);
  // The connection drops with the machine: what counts is that another boot answers.
  await lab.ssh(node, 'sudo systemctl reboot').catch(() => undefined);
  await until(`${node} is back`, STEP_LIMIT_SECONDS, async () => (await bootId(node).catch(() => first)) !== first);
}

/** The cluster knows this boot of the node and has it Ready, and kube-proxy there leads to a Service again. */
async function serves(node: NodeName): Promise<boolean> {
  const status = `get node ${node} -o jsonpath='{.status.nodeInfo.bootID} {.status.conditions[?(@.type=="Ready")].status}'`;
  const known = await lab.kubectl(status).catch(() => '');
  const reached = await lab.ssh(node, 'timeout 5 bash -c ": </dev/tcp/10.96.0.1/443" 2>&- && echo reached || true');
  return known === `${await bootId(node)} True` && reached === 'reached';
}

let capture: Capture | undefined;

afterAll(async () => {
  capture?.abandon();
  await lab.down();
  lab.remove();
});

describe('a lab with a cluster', () => {
  step('comes up from nothing and is verified', async () => {
    await lab.fromNothing();
    capture = await Capture.start(SITE);
    expectExit(await lab.up(), 0);
    const nodes = await lab.kubectl('get nodes --no-headers');
    for (const node of NODE_NAMES) expect(nodes).toMatch(new RegExp(`^${node} +Ready `, 'm'));
    const table = await lab.ssh('lab2', 'sudo ipvsadm -Ln');
    expect(table).toMatch(/^TCP +10\.96\.0\.1:443 rr\n +-> 192\.0\.2\.11:6443/m);
    expect(table).toMatch(/^UDP +10\.96\.0\.10:53 rr\n +-> 10\.244\./m);
  });

  step('has no way out, and sent neither TCP nor DNS out of its site', async () => {
    for (const node of NODE_NAMES) {
      // Its gateway is the lab's own end, which forwards nothing: what wanted to leave would be seen there.
      expect(await lab.ssh(node, 'timeout 5 bash -c ": </dev/tcp/203.0.113.9/443" 2>&- || echo closed')).toBe('closed');
      expect(await lab.ssh(node, 'getent hosts registry.k8s.io || echo unknown')).toBe('unknown');
    }
    const { leaving, names } = await capture!.stop();
    // What was tried above, which shows that the capture sees what it is to see, and nothing else.
    expect(leaving.filter((line) => !line.includes(' > 203.0.113.9.443: ')).slice(0, 20)).toEqual([]);
    expect(leaving).not.toEqual([]);
    expect(names.filter((name) => /registry|docker|quay|gcr|ghcr|pkg\.dev/.test(name))).toEqual(['registry.k8s.io']);
  });

  step('changes nothing on a second up', async () => {
    expect(await lab.upCounts()).toMatchObject(NOTHING);
  });

  step('comes back by itself when each node has been restarted', async () => {
    for (const node of NODE_NAMES) {
      await rebooted(node);
      await until(`${node} serves again`, STEP_LIMIT_SECONDS, () => serves(node).catch(() => false));
    }
    await until('the site is verified', STEP_LIMIT_SECONDS, async () => (await lab.verify()).code === 0);
  });

  step('gets another scheduler and resolver settings in place', async () => {
    lab.edit((text) => `${text}\nkubeProxy:\n  scheduler: wlc\ndns:\n  pods:\n    ndots: 2\n`);
    const counts = await lab.upCounts();
    expect(counts).toMatchObject({ delete: 0, replace: 0 });
    for (const node of NODE_NAMES) {
      expect(await lab.ssh(node, 'sudo ipvsadm -Ln')).toMatch(/^TCP +10\.96\.0\.1:443 wlc$/m);
    }
    await lab.kubectl(`run look --image=${TOOLBOX} --image-pull-policy=Never --restart=Never --command -- sleep 3600`);
    await lab.kubectl('wait pod/look --for=condition=Ready --timeout=300s');
    expect(await lab.kubectl('exec look -- cat /etc/resolv.conf')).toMatch(/^options ndots:2$/m);
  });
});
