import { type ClusterLab, NOTHING, TOOLBOX } from '../../clusterLab';
import { expectExit, NODES, type NodeName, until } from '../../lab';
import { story } from '../../story';

/** The lab's cluster from 1.36.1 to 1.36.3, with pods that a budget protects, and with an engine that dies on the way. */
export function upgrade(lab: ClusterLab): void {
  const step = story();
  const FROM = '1.36.1';
  const TO = '1.36.3';
  const STEP_LIMIT_SECONDS = 1200;
  const NODE_NAMES = Object.keys(NODES) as NodeName[];

  const versions = () =>
    lab.kubectl(
      `get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.status.nodeInfo.kubeletVersion} {.spec.unschedulable}{"\\n"}{end}'`,
    );
  const snapshots = () => lab.ssh('lab1', 'sudo ls /var/lib/sitewright/etcd-snapshots');
  const setVersion = (version: string) => lab.edit((text) => text.replace(/^( +version: ).*$/m, `$1'${version}'`));

  /** Two pods on any node, of which one may be away at a time, and a Service in front of them. */
  const WORKLOAD = [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: {
            tolerations: [{ operator: 'Exists', effect: 'NoSchedule', key: 'node-role.kubernetes.io/control-plane' }],
            terminationGracePeriodSeconds: 1,
            containers: [{ name: 'web', image: TOOLBOX, imagePullPolicy: 'Never', command: ['sleep', 'infinity'] }],
          },
        },
      },
    },
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'web', namespace: 'default' },
      spec: { maxUnavailable: 1, selector: { matchLabels: { app: 'web' } } },
    },
  ];

  let uuids: Record<string, string>;

  describe('an upgrade', () => {
    step('begins with a cluster that does work', async () => {
      await lab.begin();
      expect(lab.read()).toContain(FROM);
      uuids = await lab.domains();
      await lab.apply(...WORKLOAD);
      await lab.kubectl('rollout status deployment/web --timeout=600s');
    });

    step('moves both nodes in place, with a snapshot from before and the pods in service', async () => {
      setVersion(TO);
      expectExit(await lab.sitewright('bundle', 'build', lab.site), 0);
      const up = lab.start('up', lab.site, '--yes');
      // The machine of the engine dies while the first node is on its way: what runs on the node goes on there.
      await until('kubeadm moves the control plane', STEP_LIMIT_SECONDS, async () => {
        if (up.ended) throw new Error(`up ended before kubeadm upgrade was seen\n${up.result.output}`);
        return (
          (await lab.ssh('lab1', "pgrep -a -x kubeadm | grep -c ' upgrade apply ' || true").catch(() => '0')) !== '0'
        );
      });
      await up.killTree();
      await lab.sitewright('unlock', lab.site);
      const result = await lab.sitewright('up', lab.site, '--json', '--yes');
      expectExit(result, 0);
      expect((JSON.parse(result.stdout) as { counts: object }).counts).toMatchObject({ delete: 0, replace: 0 });

      expect((await versions()).split('\n').map((line) => line.trim())).toEqual(
        NODE_NAMES.map((name) => `${name} v${TO}`),
      );
      for (const component of ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']) {
        const images = await lab.kubectl(
          `get pods -n kube-system -l component=${component} -o jsonpath='{.items[*].spec.containers[0].image}'`,
        );
        expect(images).toMatch(new RegExp(`/${component}:v${TO}$`));
      }
      const proxies = await lab.kubectl(
        `get pods -n kube-system -l k8s-app=kube-proxy -o jsonpath='{.items[*].spec.containers[0].image}'`,
      );
      expect(proxies.split(' ')).toEqual(NODE_NAMES.map(() => expect.stringMatching(new RegExp(`kube-proxy:v${TO}$`))));
      expect(await snapshots()).toMatch(new RegExp(`-before-${TO.replaceAll('.', '\\.')}\\.db$`));
      expect(await lab.domains()).toEqual(uuids);
      await lab.kubectl('rollout status deployment/web --timeout=600s');
      expectExit(await lab.verify(), 0);
    });

    step('changes nothing on a second up', async () => {
      expect(await lab.upCounts()).toMatchObject(NOTHING);
    });

    step('is not taken back: that is refused, and nothing is changed', async () => {
      const before = [await versions(), await snapshots(), await lab.exportState()];
      setVersion(FROM);
      for (const command of ['preview', 'up']) {
        const result = await lab.sitewright(command, lab.site);
        expectExit(result, 2);
        expect(result.stderr).toContain(`kubernetes.version: ${FROM} is older than the ${TO} that runs`);
      }
      expect([await versions(), await snapshots(), await lab.exportState()]).toEqual(before);
    });
  });
}
