import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import execa from 'execa';
import type { BgpProbe, CalicoFacts, CalicoNodeFacts, CalicoProbe } from '../../components/clusterProbe/calicoFacts';
import { judgeCalico } from '../../components/clusterProbe/calicoJudge';
import { calicoNodeProgram } from '../../components/clusterProbe/calicoNodeProgram';
import { differing } from '../../components/clusterProbe/calicoRead';
import type { ClusterProbeRequest } from '../../components/clusterProbe/facts';
import { bgpSessions } from '../../components/clusterProbe/parse';
import { judgeCluster } from '../../components/clusterProbe/judge';
import { facts as clusterFacts, request } from './fixtures';

const plan: CalicoProbe = {
  site: 'oslo',
  namespace: 'kube-system',
  encapsulation: { sameSubnet: 'vxlan', crossSubnet: 'vxlan' },
  subnets: { one: 'rack1', two: 'rack1', three: 'rack2' },
  families: ['ipv4'],
  devices: [{ name: 'vxlan.calico', mtuBytes: 1450 }],
  podMtuBytes: 1450,
  bgp: null,
  objects: [],
};
const BLOCKS = { one: '10.244.1.0/26', two: '10.244.2.0/26', three: '10.244.3.0/26' };

/** Everything as planned, with every other node's block behind a device. */
const node = (own: string, device: string): CalicoNodeFacts => ({
  devices: { 'vxlan.calico': 1450 },
  links: [{ device: 'cali1', mtuBytes: 1450, podMtuBytes: 1450 }],
  routes: Object.entries(BLOCKS)
    .filter(([name]) => name !== own)
    .map(([, cidr]) => ({ cidr, device })),
  wireguardPeers: null,
  bgpSessions: null,
});
const facts = (device = 'vxlan.calico'): CalicoFacts & { nodes: Record<string, CalicoNodeFacts> } => ({
  agents: { one: null, two: null, three: null },
  blocks: Object.entries(BLOCKS).map(([name, cidr]) => ({ node: name, cidr })),
  objects: { 'IPPool default-ipv4': [] },
  nodes: { one: node('one', device), two: node('two', device), three: node('three', device) },
});
const judge = (found: CalicoFacts, planned = plan) =>
  judgeCalico(found, planned, 'error').map(({ where, message }) => `${where}: ${message}`);

describe('Calico of a live cluster', () => {
  test('as planned is no finding', () => expect(judge(facts())).toEqual([]));

  test('every way it can differ is a finding', () => {
    const found = facts();
    found.objects = {
      'IPPool default-ipv4': null,
      'FelixConfiguration default': ['spec.vxlanMTU is 1500, planned: 1450'],
    };
    found.agents = { one: 'container is starting', three: null };
    found.nodes.one.devices = {};
    found.nodes.two.devices = { 'vxlan.calico': 1500 };
    found.nodes.three.routes = [{ cidr: BLOCKS.one, device: 'ens3' }];
    expect(judge(found)).toEqual([
      'cluster: IPPool default-ipv4 is gone: `sitewright refresh` and then `up` put it back',
      'cluster: FelixConfiguration default is not as planned: spec.vxlanMTU is 1500, planned: 1450: `sitewright refresh` and then `up` put it back',
      'one: calico-node is not ready: container is starting',
      'one: has no device vxlan.calico',
      'two: calico-node does not run on it: kubectl -n kube-system describe ds/calico-node',
      'two: vxlan.calico has an MTU of 1500, planned: 1450',
      'three: reaches 10.244.1.0/26 (pods of one) by ens3, planned: vxlan.calico',
      'three: has no route to 10.244.2.0/26 (pods of two)',
    ]);
  });

  test('pods with the MTU of their start are counted; where the MTU has just been changed they are a warning', () => {
    const found = facts();
    found.nodes.two.links = [
      { device: 'cali2', mtuBytes: 1450, podMtuBytes: 1500, pod: 'shop/web-2' },
      { device: 'cali3', mtuBytes: 1450, podMtuBytes: null },
      { device: 'cali4', mtuBytes: 1500, podMtuBytes: 1500, pod: 'kube-system/coredns-1' },
      { device: 'cali5', mtuBytes: 1450, podMtuBytes: 1500, pod: 'shop/web-1' },
      { device: 'cali6', mtuBytes: 1500, podMtuBytes: null },
    ];
    found.nodes.three.links = [{ device: 'cali7', mtuBytes: 1500, podMtuBytes: 1500, pod: 'shop/web-3' }];
    const judged = (more: Partial<ClusterProbeRequest>) =>
      judgeCluster({ ...clusterFacts(), calico: found }, request({ calico: plan, ...more }))
        .filter(({ probe }) => probe === 'calico')
        .map(({ severity, where, message }) => `${severity} ${where}: ${message}`);
    const old = [
      'two: 4 pods have another MTU than the planned 1450: 1450 on the node and 1500 in the pod: shop/web-1, shop/web-2; ' +
        '1500 on the node and 1500 in the pod: kube-system/coredns-1; ' +
        "1500 on the node and unknown in the pod: nobody's cali6: `sitewright rollout mtu oslo` makes them anew",
      'three: 1 pod has another MTU than the planned 1450: 1500 on the node and 1500 in the pod: shop/web-3: ' +
        '`sitewright rollout mtu oslo` makes them anew',
    ];
    const lines = (severity: string) => old.map((line) => `${severity} ${line}`);
    expect(judged({})).toEqual(lines('error'));
    expect(judged({ olderPods: 'warn' })).toEqual(lines('warn'));
    expect(judged({ warn: ['calico'] })).toEqual(lines('warn'));
  });

  test('across subnets only is a tunnel, and inside one the card', () => {
    const planned = { ...plan, encapsulation: { sameSubnet: 'none', crossSubnet: 'vxlan' } as const };
    const found = facts();
    for (const name of ['one', 'two'] as const) {
      found.nodes[name].routes.find(({ cidr }) => cidr !== BLOCKS.three)!.device = 'ens3';
    }
    expect(judge(found, planned)).toEqual([]);
    expect(judge(facts(), planned)).toEqual([
      'one: reaches 10.244.2.0/26 (pods of two) by vxlan.calico, planned: its own card',
      'two: reaches 10.244.1.0/26 (pods of one) by vxlan.calico, planned: its own card',
    ]);
  });

  test('WireGuard comes before the tunnel that is there too, and its peers have spoken', () => {
    const planned = { ...plan, encapsulation: { sameSubnet: 'wireguard', crossSubnet: 'wireguard' } as const };
    const found = facts();
    for (const each of Object.values(found.nodes)) {
      each.routes.push(...each.routes.map(({ cidr }) => ({ cidr, device: 'wireguard.cali' })));
      each.wireguardPeers = [3, 20];
    }
    expect(judge(found, planned)).toEqual([]);
    found.nodes.one.wireguardPeers = [3];
    // Measured long ago: on a larger site the last pod speaks an hour after the first.
    found.nodes.two.wireguardPeers = [null, 4000];
    found.nodes.three.wireguardPeers = [301, 3600];
    expect(judge(found, planned)).toEqual([
      'one: knows 1 WireGuard peers, planned: 2 for each family',
      'two: 1 of 2 WireGuard peers made no handshake: look at UDP 51820 and 51821 between the nodes',
    ]);
  });

  test('BGP: a session of every node with every other and with its router, or with the reflectors alone', () => {
    const bgp: BgpProbe = {
      addresses: { one: ['192.0.2.11'], two: ['192.0.2.12', '2001:db8::12'], three: ['192.0.2.13'] },
      reflectors: [],
      routers: [{ name: 'tor', address: '192.0.2.1', nodes: ['one'] }],
    };
    const up = (...addresses: string[]) =>
      addresses.map((address) => ({ address, state: 'Established', error: null as string | null }));
    const found = facts();
    found.nodes.one.bgpSessions = up('192.0.2.12', '2001:db8::12', '192.0.2.13', '192.0.2.1');
    found.nodes.two.bgpSessions = up('192.0.2.11', '192.0.2.13');
    found.nodes.three.bgpSessions = up('192.0.2.11', '192.0.2.12', '2001:db8::12');
    expect(judge(found, { ...plan, bgp })).toEqual([]);
    found.nodes.one.bgpSessions[3] = { address: '192.0.2.1', state: 'Active', error: 'Socket: Connection refused' };
    found.nodes.two.bgpSessions.pop();
    found.nodes.three.bgpSessions = null;
    expect(judge(found, { ...plan, bgp })).toEqual([
      'one: the BGP session with tor (192.0.2.1) is Active (Socket: Connection refused): look at TCP 179 between them, the AS numbers and the password',
      'two: BIRD has no session with three (192.0.2.13)',
      'three: no BIRD runs on it, planned: 3 BGP sessions',
    ]);
    const reflected = { ...bgp, reflectors: ['one'], routers: [] };
    found.nodes.two.bgpSessions = up('192.0.2.11');
    found.nodes.three.bgpSessions = [];
    expect(judge(found, { ...plan, bgp: reflected })).toEqual(['three: BIRD has no session with one (192.0.2.11)']);
  });

  test('is a part of the judgement of the cluster, and may be a warning', () => {
    const found = { ...clusterFacts(), calico: { ...facts(), objects: { 'IPPool default-ipv4': null } } };
    const findings = (warn: string[]) => judgeCluster(found, request({ calico: plan, warn }));
    expect(findings([])).toMatchObject([{ probe: 'calico', severity: 'error', where: 'cluster' }]);
    expect(findings(['calico'])).toMatchObject([{ severity: 'warn' }]);
  });
});

test('of an object only what is planned is compared', () => {
  const live = { cidr: '10.244.0.0/16', natOutgoing: true, allowedUses: ['Workload'], nested: { a: 1, b: 2 } };
  expect([...differing({ cidr: '10.244.0.0/16', nested: { a: 1 } }, live, 'spec')]).toEqual([]);
  expect([...differing({ natOutgoing: false, nested: { c: 3 }, allowedUses: [] }, live, 'spec')]).toEqual([
    'spec.natOutgoing is true, planned: false',
    'spec.nested.c is absent, planned: 3',
    'spec.allowedUses is ["Workload"], planned: []',
  ]);
  // kubectl sorts keys, and whoever defaults a field does so in the items of a list too.
  const rules = [
    { action: 'Accept', cidr: '10.244.0.0/16', matchOperator: 'In', source: 'Remote' },
    { action: 'Reject' },
  ];
  const planned = [{ cidr: '10.244.0.0/16', matchOperator: 'In', action: 'Accept' }, { action: 'Accept' }];
  expect([...differing(planned, rules, 'spec.exportV4')]).toEqual([
    'spec.exportV4[1].action is "Reject", planned: "Accept"',
  ]);
  expect([...differing([{ a: 1 }], null, 'spec.list')]).toEqual(['spec.list is null, planned: [{"a":1}]']);
});

/** As BIRD 1.6.8 wrote it, some of its many lines. */
const BIRD_ANSWER = `2002-name     proto    table    state  since       info
1002-kernel1  Kernel   master   up     18:28:27    
1006-  Preference:     10
   Routes:         0 imported, 0 exported, 0 preferred
 
1002-Mesh_192_0_2_12 BGP      master   wait   18:28:31    Established   
1006-  Preference:     100
   Input filter:   ACCEPT
   BGP state:          Established
     Neighbor address: 192.0.2.12
     Neighbor AS:      64512
     Hold timer:       194/240
 
1002-Mesh_192_0_2_13 BGP      master   start  18:28:27    Connect       Socket: No route to host
1006-  Preference:     100
   BGP state:          Connect
     Neighbor address: 192.0.2.13
     Neighbor AS:      64512
     Last error:       Socket: No route to host
 
1002-Node_192_0_2_1_port_180 BGP      master   start  18:28:27    Active        Socket: Connection refused
1006-  Preference:     100
   BGP state:          Active
     Neighbor address: 192.0.2.1
     Neighbor AS:      64601
     Connect delay:    2/2
     Last error:       Socket: Connection refused
 
0000 
`;

describe('the program of a node', () => {
  const space = `sitewright-calico-${process.pid}`;
  const ip = (words: string) => execFileSync('ip', words.split(' '));
  beforeAll(() => ip(`netns add ${space}-node`));
  afterAll(() => {
    for (const name of ['node', 'pod']) ip(`netns del ${space}-${name}`);
  });

  test('reads both ends of a link, the devices of the plan and their routes', () => {
    ip(`netns add ${space}-pod`);
    ip(`-n ${space}-node link add cali7 mtu 1450 type veth peer name eth0 netns ${space}-pod`);
    ip(`-n ${space}-pod link set eth0 mtu 1400`);
    ip(`-n ${space}-node link add vxlan.calico mtu 1440 type vxlan id 4096 dstport 4789`);
    for (const device of ['cali7', 'vxlan.calico']) ip(`-n ${space}-node link set ${device} up`);
    ip(`-n ${space}-node route add 10.244.1.0/26 dev vxlan.calico table 7`);
    const question = JSON.stringify({ devices: ['vxlan.calico'], wireguard: ['wireguard.cali'], birds: ['/no/bird'] });
    const answer = execFileSync('ip', ['netns', 'exec', `${space}-node`, 'python3', '-', question], {
      input: calicoNodeProgram,
      encoding: 'utf8',
    });
    expect(JSON.parse(answer)).toEqual({
      devices: { 'vxlan.calico': 1440 },
      links: [{ device: 'cali7', mtuBytes: 1450, podMtuBytes: 1400 }],
      routes: expect.arrayContaining([{ cidr: '10.244.1.0/26', device: 'vxlan.calico' }]),
      wireguardPeers: null,
      birds: null,
    });
  });

  test('asks BIRD of either family over its socket, and knows one that has ended', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sitewright-bird-'));
    const questions: string[] = [];
    const answers = createServer((connection) => {
      connection.write('0001 BIRD 1.6.8 ready.\n');
      connection.on('data', (data) => {
        questions.push(String(data));
        connection.write(BIRD_ANSWER);
      });
    });
    await new Promise<void>((listening) => void answers.listen(join(folder, 'bird.ctl'), listening));
    const ended = createServer();
    await new Promise<void>((listening) => void ended.listen(join(folder, 'left.ctl'), listening));
    execFileSync('ln', [join(folder, 'left.ctl'), join(folder, 'bird6.ctl')]);
    await new Promise((closed) => ended.close(closed));
    try {
      const birds = [join(folder, 'bird.ctl'), join(folder, 'bird6.ctl')];
      const question = JSON.stringify({ devices: [], wireguard: [], birds });
      const { stdout } = await execa('ip', ['netns', 'exec', `${space}-node`, 'python3', '-', question], {
        input: calicoNodeProgram,
      });
      expect(questions).toEqual(['show protocols all\n']);
      expect(bgpSessions((JSON.parse(stdout) as { birds: string }).birds)).toEqual([
        { address: '192.0.2.12', state: 'Established', error: null },
        { address: '192.0.2.13', state: 'Connect', error: 'Socket: No route to host' },
        { address: '192.0.2.1', state: 'Active', error: 'Socket: Connection refused' },
      ]);
    } finally {
      answers.close();
      rmSync(folder, { recursive: true });
    }
  });
});
