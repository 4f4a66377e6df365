import type { ClusterLab } from '../../clusterLab';
import { expectExit, type NodeName, type Result } from '../../lab';
import { story } from '../../story';

/** What hands change on the machines of a lab with a cluster: found by `drift`, put back by it, and gone. */
export function drift(lab: ClusterLab): void {
  const step = story();
  const audit = (...more: string[]): Promise<Result> => lab.sitewright('drift', lab.site, '--json', ...more);

  interface Answer {
    differences: { where: string; what: string; wanted: string; found: string }[];
    unanswered: unknown[];
  }
  const answer = ({ stdout }: Result) => JSON.parse(stdout) as Answer;
  const nic = (node: NodeName) => lab.ssh(node, `ip -o -4 route show default | sed 's/.* dev \\([^ ]*\\).*/\\1/'`);

  describe('drift of a lab with a cluster', () => {
    let machines: Record<string, string>;

    step('is nothing when up has just ended', async () => {
      await lab.begin();
      machines = await lab.domains();
      const result = await audit();
      expect(answer(result)).toMatchObject({ differences: [], unanswered: [] });
      expectExit(result, 0);
    });

    step('is what hands changed: a sysctl, a module, an MTU, an offload, files, an object and a machine', async () => {
      await lab.ssh('lab1', 'sudo sysctl -qw net.core.netdev_max_backlog=1234');
      await lab.ssh('lab2', 'sudo modprobe -r ip_vs_sh');
      await lab.ssh('lab2', `sudo ip link set dev ${await nic('lab2')} mtu 1400`);
      await lab.ssh('lab1', `sudo ethtool -K ${await nic('lab1')} gro off`);
      await lab.ssh('lab1', `sudo sed -i 's/lab2/lab-two/' /etc/hosts`);
      await lab.ssh('lab2', `echo '# by hand' | sudo tee -a /var/lib/kubelet/config.yaml`);
      await lab.kubectl('-n kube-system delete configmap coredns');
      await lab.virsh('autostart', `${lab.site}-lab2`);
      const result = await audit();
      expectExit(result, 12);
      const told = answer(result).differences.map(
        ({ where, what, wanted, found }) => `${where} ${what}: ${found || wanted}`,
      );
      for (const expected of [
        /^lab1 sysctl net\.core\.netdev_max_backlog: 1234$/,
        /^lab2 module ip_vs_sh: not loaded$/,
        /^lab2 \S+ mtu: 1400$/,
        /^lab1 \S+ gro: off$/,
        /^lab1 \/etc\/hosts: .*lab-two/,
        /^lab2 \/var\/lib\/kubelet\/config.yaml: edited since$/,
        new RegExp(`^${lab.site} ConfigMap kube-system/coredns: absent$`),
        /^lab2 autostart: enable$/,
      ]) {
        expect(told).toContainEqual(expect.stringMatching(expected));
      }
    });

    step('is gone after its repair, which leaves every machine as it is', async () => {
      const result = await audit('--repair');
      expect(answer(result)).toMatchObject({ differences: [], unanswered: [] });
      expectExit(result, 0);
      expect(await lab.domains()).toEqual(machines);
      expect(await lab.kubectl('-n kube-system get configmap coredns --no-headers')).toMatch(/^coredns /);
      expectExit(await lab.verify(), 0);
    });

    step('is in the report, beside what verify measured between pods', async () => {
      const result = await lab.sitewright('report', lab.site, '--json');
      expectExit(result, 0);
      const told = JSON.parse(result.stdout) as Record<'pairs' | 'nodes' | 'cluster' | 'drift', { by: string }>;
      expect([told.pairs.by, told.nodes.by, told.cluster.by, told.drift.by]).toEqual([
        'up',
        'verify',
        'verify',
        'drift',
      ]);
      const page = await lab.sitewright('report', lab.site);
      expectExit(page, 0);
      expect(page.stdout).toMatch(/Between pods of the cluster<[^]*✓<\/span> (\d+) of \1 paths pass/);
    });
  });
}
