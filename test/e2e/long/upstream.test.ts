import { expectMtus } from '../calicoLinks';
import { ClusterLab, NOTHING } from '../clusterLab';
import { expectExit, NODES, type NodeName } from '../lab';

/**
 * What only released images have: Calico with BIRD, its operator, and the ingress controllers. Where the machine cannot reach
 * who publishes them, `bundle build` must say which name it could not look up, and that is printed.
 */

const NODE_NAMES = Object.keys(NODES) as NodeName[];
const CASE_LIMIT_MILLISECONDS = 90 * 60 * 1000;

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

interface Case {
  name: string;
  /** Keys of `network`. */
  network: string;
  /** Further lines of the site file. */
  more?: string;
  /** Bytes on an underlay of 1500, by device. */
  mtus: Record<string, number>;
}

const CASES: Case[] = [
  { name: 'bgp', network: 'routing: bgp', mtus: { veth: 1500 } },
  { name: 'ipip', network: 'routing: ipip', mtus: { veth: 1480, tunl0: 1480 } },
  {
    name: 'operator',
    network: 'routing: vxlan\n  calico:\n    install: operator',
    mtus: { veth: 1450, 'vxlan.calico': 1450 },
  },
  { name: 'nginx', network: 'routing: ipip-cross-subnet', more: 'ingress: {}\n', mtus: { veth: 1480, tunl0: 1480 } },
  {
    name: 'ingress-nginx',
    network: 'routing: ipip-cross-subnet',
    more: 'ingress:\n  controller: ingress-nginx\n',
    mtus: { veth: 1480, tunl0: 1480 },
  },
];

/** IPIP carries IPv4 alone, so the sites have that. */
const asCase =
  ({ network, more = '' }: Case) =>
  (text: string) =>
    `${text
      .replace(/^ {2}cni: routes$/m, `  cni: calico\n  ${network}`)
      .replace(/^( {2}podCidrs: \[[^,]*),.*$/m, '$1]')
      .replace(/^( {2}serviceCidrs: \[[^,]*),.*$/m, '$1]')
      .replace(/^ {2}from: source$/m, '  from: upstream')}\n${more}`;

describe.each(CASES)('a lab with released images, $name', (one) => {
  const lab = new ClusterLab(`up-${one.name}`);
  lab.edit(asCase(one));
  let isMade = false;

  afterAll(async () => {
    if (isMade) await lab.down();
    lab.remove();
  });

  it('is proved with the MTUs of the table, or names the host that cannot be looked up', async () => {
    const built = await lab.sitewright('bundle', 'build', lab.site);
    if (built.code !== 0) {
      // Any other way to fail is the kit's own.
      const [failedLookUp] = /^https:.* Could not resolve host: \S+$/m.exec(built.stderr) ?? [];
      if (failedLookUp === undefined) expectExit(built, 0);
      process.stderr.write(`    no released images here: ${failedLookUp}\n`);
      return;
    }
    isMade = true;
    await lab.fromNothing();
    expectExit(await lab.up(), 0);
    const nodes = await lab.kubectl('get nodes --no-headers');
    for (const node of NODE_NAMES) expect(nodes).toMatch(new RegExp(`^${node} +Ready `, 'm'));
    await expectMtus(lab, one.mtus);
    expectExit(await lab.verify(), 0);
    expect(await lab.upCounts()).toMatchObject(NOTHING);
  });
});
