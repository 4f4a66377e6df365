import { isDeepStrictEqual } from 'node:util';
import type { ClusterLab } from './clusterLab';
import { NODES, type NodeName, until } from './lab';

/** MTU of the named devices and of both ends of every link to a pod, as the kernel of the node has them. */
async function mtus(lab: ClusterLab, node: NodeName): Promise<Record<string, number[]>> {
  const text = await lab.ssh(
    node,
    `sudo sh -c 'cd /sys/class/net; for d in *cali* tunl0; do test -e $d && echo $d $(cat $d/mtu); done; ` +
      `for n in /run/netns/*; do echo veth $(ip netns exec $(basename $n) cat /sys/class/net/eth0/mtu); done'`,
  );
  const found: Record<string, number[]> = {};
  for (const line of text.split('\n')) {
    // A device that went away between its name and its MTU.
    if (!/^\S+ [0-9]+$/.test(line)) continue;
    const [name, mtu] = line.split(' ');
    const key = /^cali[0-9a-f]/.test(name!) ? 'veth' : name!;
    found[key] = [...new Set([...(found[key] ?? []), Number(mtu)])];
  }
  return found;
}

/** On every node, and no other device of Calico there. The link of a pod goes a moment after the pod. */
export async function expectMtus(lab: ClusterLab, table: Record<string, number>): Promise<void> {
  const wanted = Object.fromEntries(Object.entries(table).map(([name, mtu]) => [name, [mtu]]));
  for (const node of Object.keys(NODES) as NodeName[]) {
    let found = {};
    const isAsWanted = async () => isDeepStrictEqual((found = await mtus(lab, node)), wanted);
    await until(`the links of ${node}`, 120, isAsWanted).catch(() => undefined);
    expect({ node, ...found }).toEqual({ node, ...wanted });
  }
}
