import type { ClusterLab } from '../../clusterLab';
import { expectExit, NODES, type NodeName } from '../../lab';
import { story } from '../../story';

/** A living cluster that is looked into, and whose kube-proxy changes its mode: what the mode before made is gone. */
export function proxyModes(lab: ClusterLab): void {
  const step = story();
  type Mode = 'ipvs' | 'nftables' | 'iptables';

  const PROXY_MODE =
    "import urllib.request as r; print(r.urlopen('http://127.0.0.1:10249/proxyMode', timeout=60).read().decode())";

  /** What of each mode a node has. */
  async function rulesOn(node: NodeName): Promise<Record<Mode, boolean>> {
    const has = async (command: string) => (await lab.ssh(node, `${command} || true`)) !== '';
    return {
      ipvs:
        (await has('ls -d /sys/class/net/kube-ipvs0 2>&-')) || (await has("sudo ipvsadm -Ln | grep -E '^(TCP|UDP)'")),
      nftables: await has("sudo nft list tables | grep ' kube-proxy$'"),
      // Mode ipvs has a chain KUBE-SERVICES of its own; those of single Services and endpoints are of mode iptables alone.
      iptables: await has("sudo nft list ruleset | grep -oE '^\\s*chain KUBE-(SVC|SEP)-'"),
    };
  }

  async function expectMode(mode: Mode): Promise<void> {
    for (const node of Object.keys(NODES) as NodeName[]) {
      expect(await rulesOn(node)).toEqual({ ipvs: false, nftables: false, iptables: false, [mode]: true });
      expect(await lab.ssh(node, `python3 -c "${PROXY_MODE}"`)).toBe(mode);
    }
  }

  /** Its probes open connections through a Service of their own, from a pod on every node to the pod on every other. */
  const verified = async () => expectExit(await lab.verify(), 0);

  describe('a cluster in use', () => {
    step('has the rules of mode ipvs and no other', async () => {
      await lab.begin();
      await expectMode('ipvs');
    });

    step('is looked into with debug, in a pod and on a node, and nothing of it stays', async () => {
      const debug = (...args: string[]) => lab.sitewright('debug', lab.site, ...args);
      const pod = await lab.kubectl(
        "get pods -n kube-system -l k8s-app=kube-dns -o jsonpath='{.items[0].metadata.name}'",
      );

      const capture = await debug(pod, '-n', 'kube-system', '--', 'tcpdump', '-i', 'eth0', '-c', '3', '-w', '-');
      expectExit(capture, 0);
      expect(capture.stderr).toMatch(/^3 packets captured$/m);
      const inPod = await debug(
        pod,
        '-n',
        'kube-system',
        '--',
        'bash',
        '-c',
        'conntrack -C >&2; ping -c 1 $1; exit 7',
        '-',
        '192.0.2.12',
      );
      expectExit(inPod, 7);
      expect(inPod.stdout).toMatch(/^1 packets transmitted, 1 received/m);

      const onNode = await debug(
        'lab2',
        '--',
        'bash',
        '-c',
        'chroot /host hostname; ip -o link show kube-ipvs0; conntrack -C',
      );
      expectExit(onNode, 0);
      expect(onNode.stdout).toMatch(/^lab2\n\d+: kube-ipvs0: [^]*\n\d+\n$/);

      expect(await lab.kubectl('get pods -n kube-system -l sitewright.internal/debug -o name')).toBe('');
      const ended = `get pod ${pod} -n kube-system -o jsonpath='{.status.ephemeralContainerStatuses[*].state.running}'`;
      expect(await lab.kubectl(ended)).toBe('');
    });

    let before: Mode = 'ipvs';
    for (const mode of ['nftables', 'iptables', 'ipvs'] as const) {
      const was = before;
      before = mode;
      step(`goes from ${was} to ${mode}: no rule of ${was} is left, and Services are reached`, async () => {
        lab.edit((text) =>
          text.includes('\nkubeProxy:')
            ? text.replace(/\n {2}mode: .*/, `\n  mode: ${mode}`)
            : `${text}\nkubeProxy:\n  mode: ${mode}\n`,
        );
        expectExit(await lab.sitewright('up', lab.site, '--yes'), 0);
        await expectMode(mode);
        await verified();
      });
    }
  });
}
