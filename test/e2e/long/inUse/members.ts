import { type ClusterLab, NOTHING, TOOLBOX } from '../../clusterLab';
import { expectExit, type Result, until, type Running } from '../../lab';
import { story } from '../../story';

/** A worker that comes and goes, and runs that are killed while nodes become members. */
export function members(lab: ClusterLab): void {
  const step = story();
  const STEP_LIMIT_SECONDS = 1800;

  /** The lines of lab2 in the site file, the last machine there. */
  const LAB2 = /^ {4}- name: lab2$[^]*?(?=^\S)/m;
  let linesOfLab2 = '';

  const nodes = () => lab.kubectl(`get nodes -o jsonpath='{range .items[*]}{.metadata.name} {end}'`);
  const up = (): Promise<Result> => lab.sitewright('up', lab.site, '--yes');
  const state = (value: 'active' | 'leaving') =>
    lab.edit((text) =>
      text.replace(/( {4}- name: lab2\n)( {6}state: \w+\n)?/, value === 'active' ? '$1' : `$1      state: ${value}\n`),
    );

  /** What the state of the site and its machines are: equal before and after what changed nothing. */
  const everything = async () => [await lab.exportState(), await lab.domains(), await lab.volumes()];

  /** Starts an `up` and ends it like a crash while kubeadm does this on a node. */
  async function killedDuring(node: 'lab1' | 'lab2', word: 'init' | 'join'): Promise<void> {
    const running: Running = lab.start('up', lab.site, '--yes');
    await until(`kubeadm ${word} runs on ${node}`, STEP_LIMIT_SECONDS, async () => {
      if (running.ended) throw new Error(`up ended before kubeadm ${word} was seen\n${running.result.output}`);
      return lab.ssh(node, `pgrep -a -x kubeadm | grep -q ' ${word} --config'`).then(
        () => true,
        () => false,
      );
    });
    await running.killTree();
    expectExit(await lab.sitewright('unlock', lab.site), 0);
  }

  describe('members of a cluster', () => {
    step('begin with one, although up was killed during its kubeadm init', async () => {
      linesOfLab2 = LAB2.exec(lab.read())![0];
      lab.edit((text) => `${text.replace(LAB2, '')}`.replace(/^( *)version: /m, '$1drainLimit: 30s\n$1version: '));
      await killedDuring('lab1', 'init');
      expectExit(await up(), 0);
      expect(await nodes()).toBe('lab1');
      expect(await lab.kubectl('get --raw /readyz')).toBe('ok');
    });

    step('get a worker by an edit, although up was killed during its join', async () => {
      lab.edit((text) => text.replace(/^( {4}- name: lab1$[^]*?)(?=^\S)/m, `$1${linesOfLab2}`));
      await killedDuring('lab2', 'join');
      expectExit(await up(), 0);
      await lab.kubectl('wait node/lab2 --for=condition=Ready --timeout=60s');
      // The token of the join that was killed is gone with the others.
      expect(
        await lab.kubectl('-n kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token -o name'),
      ).toBe('');
    });

    step('keep the machine of one whose lines are deleted before it has left', async () => {
      const before = await everything();
      const text = lab.read();
      lab.edit((all) => all.replace(LAB2, ''));
      for (const command of ['preview', 'up']) {
        const refused = await lab.sitewright(command, lab.site);
        expectExit(refused, 2);
        expect(refused.stderr).toMatch(/lab2 is no longer in the site file.*state: leaving/);
      }
      lab.edit(() => text);
      expect(await everything()).toEqual(before);
    });

    step('keep the machine of one whose pod is held by a PodDisruptionBudget, and name the budget', async () => {
      const spec = {
        nodeSelector: { 'kubernetes.io/hostname': 'lab2' },
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'web', image: TOOLBOX, imagePullPolicy: 'Never', command: ['sleep', '36000'] }],
      };
      const labels = { app: 'web' };
      const selector = { matchLabels: labels };
      const objects = [
        {
          ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' } },
          spec: { replicas: 1, selector, template: { metadata: { labels }, spec } },
        },
        {
          ...{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: 'web-stays' } },
          spec: { minAvailable: 1, selector },
        },
      ];
      await lab.apply(...objects);
      await lab.kubectl('rollout status deployment/web --timeout=600s');

      state('leaving');
      const machines = await lab.domains();
      const failed = await up();
      expectExit(failed, 1);
      expect(failed.stderr).toMatch(/pod default\/web-.*held by a PodDisruptionBudget \(default\/web-stays\)/);
      expect(await lab.domains()).toEqual(machines);
      expect(await nodes()).toBe('lab1 lab2');
      expect(await lab.kubectl(`get pods -l app=web -o jsonpath='{.items[0].status.phase}'`)).toBe('Running');
      expect(await lab.kubectl(`get node lab2 -o jsonpath='{.spec.unschedulable}'`)).toBe('true');
    });

    step('lose the node once its budget lets go, and keep its machine', async () => {
      await lab.kubectl('delete pdb web-stays');
      expectExit(await up(), 0);
      expect(await nodes()).toBe('lab1');
      expect(Object.keys(await lab.domains()).sort()).toEqual([`${lab.site}-lab1`, `${lab.site}-lab2`]);
      // It has nothing to register with, also when it starts again.
      expect(await lab.ssh('lab2', 'sudo systemctl restart kubelet; systemctl is-active kubelet || true')).toBe(
        'inactive',
      );
      expect(await lab.ssh('lab2', 'sudo ls -A /etc/kubernetes 2>/dev/null || true')).toBe('');
    });

    step('lose the machine when its lines are deleted then', async () => {
      lab.edit((text) => text.replace(LAB2, ''));
      expectExit(await up(), 0);
      expect(Object.keys(await lab.domains())).toEqual([`${lab.site}-lab1`]);
      expect((await lab.volumes()).filter((name) => name.includes('lab2'))).toEqual([]);
      expect(await nodes()).toBe('lab1');
      await lab.kubectl('delete deployment web');
      expect(await lab.upCounts()).toMatchObject(NOTHING);
    });
  });
}
