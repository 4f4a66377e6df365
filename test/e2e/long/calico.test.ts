import { expectMtus } from '../calicoLinks';
import { ClusterLab, NOTHING, TOOLBOX } from '../clusterLab';
import { expectExit, NODES, until, type NodeName } from '../lab';
import { story } from '../story';

/** The lab with a real Calico, built from source: what is on the wire and on the nodes, by a table that is written here. */

const SITE = 'calico';
const CASE_LIMIT_MILLISECONDS = 90 * 60 * 1000;
const NODE_NAMES = Object.keys(NODES) as NodeName[];

/** Bytes, on an underlay of 1500 with pods of both families: 50 and 70 for VXLAN, 60 and 80 for WireGuard. */
const VXLAN_MTUS = { veth: 1430, 'vxlan.calico': 1450, 'vxlan-v6.calico': 1430 };
const WIREGUARD_MTUS = { ...VXLAN_MTUS, veth: 1420, 'wireguard.cali': 1440, 'wg-v6.cali': 1420 };

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

const lab = new ClusterLab(SITE);
lab.edit((text) => text.replace(/^ {2}cni: routes$/m, '  cni: calico\n  routing: vxlan'));
const step = story();

const SERVER = `import socket
listener = socket.socket()
listener.bind(("", 8080))
listener.listen()
while True:
    connection, _ = listener.accept()
    connection.send(b"hello")
    connection.close()`;

/** Pods of `people` reach one port of the worker, beside DNS. */
const POLICY = `
policy:
  baseline: restricted
  everyNamespace: true
  namespaces:
    - name: vault
      podSecurity: privileged
    - name: people
      data: personal
      podSecurity: privileged
      egress:
        - { cidr: 192.0.2.12/32, ports: [22] }
`;

function pod(name: string, node: NodeName, role: string, command: string[]): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { role } },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      containers: [{ name, image: TOOLBOX, imagePullPolicy: 'Never', command }],
      tolerations: [{ operator: 'Exists' }],
    },
  };
}

/** New ones: a pod keeps the network that it was made with. The old ones are gone with their links before. */
async function makePods(): Promise<void> {
  await lab.kubectl('delete pods --all --timeout=600s');
  await lab.apply(
    pod('server', 'lab2', 'server', ['python3', '-c', SERVER]),
    pod('friend', 'lab1', 'friend', ['sleep', '86400']),
    pod('stranger', 'lab1', 'stranger', ['sleep', '86400']),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'server' },
      spec: { selector: { role: 'server' }, ports: [{ port: 80, targetPort: 8080 }] },
    },
  );
  await lab.kubectl('wait pods --all --for=condition=Ready --timeout=600s');
}

const serverAddress = () => lab.kubectl("get pod server -o jsonpath='{.status.podIP}'");
/** What a server says, or null where the packets to it are dropped: then the limit ends the client by signal 15. */
async function said(from: string, host: string, port: number, command = ' && cat <&3'): Promise<string | null> {
  try {
    const client = `exec 3<>/dev/tcp/${host}/${port}${command}`;
    return await lab.kubectl(`exec ${from} -- busybox timeout 20 bash -c '${client}'`);
  } catch (error) {
    if (error instanceof Error && /exit 143$/m.test(error.message)) return null;
    throw error;
  }
}
const connects = async (from: string, host: string, port: number) => (await said(from, host, port, '')) !== null;
/** Rules reach a node a moment after their policy is made or gone, and a server listens a moment after its pod is Ready. */
const becomes = (from: string, host: string, port: number, answer: string | null) =>
  until(`${from} hears ${answer} of ${host}`, 300, async () => {
    const heard = await said(from, host, port).catch((error: Error) => error.message);
    return heard === answer;
  });

/** Echo requests with DF of exactly this size pass, and one byte more is refused. */
async function expectFullSize(bytes: number): Promise<void> {
  const ping = async (size: number) =>
    lab.kubectl(`exec friend -- ping -M do -c 3 -W 10 -s ${size - 28} ${await serverAddress()}`);
  expect(await ping(bytes)).toMatch(/3 received|, [12] received/);
  await expect(ping(bytes + 1)).rejects.toThrow(/exit 1/);
}

const routeToServer = async () => lab.ssh('lab1', `ip route get ${await serverAddress()} | head -1`);

afterAll(async () => {
  await lab.down();
  lab.remove();
});

describe('a lab with Calico', () => {
  step('comes up with VXLAN and is verified', async () => {
    await lab.fromNothing();
    const made = await lab.up();
    expectExit(made, 0);
    // From below to above: the machines and their tunnel before the cluster, and what pods get of it now.
    expect(made.output).toMatch(/^ *lab1 +lab2 +ipv4 +1500 ok +1430 ok +- +1430 ok /m);
    const agents = await lab.kubectl('get pods -n kube-system -l k8s-app=calico-node -o wide --no-headers');
    for (const node of NODE_NAMES)
      expect(agents).toMatch(new RegExp(`^calico-node-\\S+ +1/1 +Running .* ${node} `, 'm'));
  });

  step('has the MTU of the table on every device and at both ends of every link, and carries it', async () => {
    await makePods();
    await expectMtus(lab, VXLAN_MTUS);
    await expectFullSize(1430);
    expect(await routeToServer()).toContain('dev vxlan.calico');
    // Outside nobody has a way back to an address of a pod: an answer means that the packet had its node's.
    expect(await lab.kubectl('exec friend -- ping -c 3 -W 10 192.0.2.1')).toMatch(/[123] received/);
  });

  step('reaches a Service through ipvs, and lets pass what a policy allows and nothing else', async () => {
    expect(await lab.ssh('lab1', 'sudo ipvsadm -Ln')).toContain(`${await serverAddress()}:8080`);
    for (const from of ['friend', 'stranger']) await becomes(from, 'server.default.svc.cluster.local', 80, 'hello');
    await lab.apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'friends' },
      spec: {
        podSelector: { matchLabels: { role: 'server' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { role: 'friend' } } }] }],
      },
    });
    const address = await serverAddress();
    await becomes('stranger', address, 8080, null);
    expect(await said('friend', address, 8080)).toBe('hello');
    await lab.kubectl('delete networkpolicy friends');
    await becomes('stranger', address, 8080, 'hello');
  });

  step('changes nothing on a second up', async () => {
    expect(await lab.upCounts()).toMatchObject(NOTHING);
  });

  step('tells that a pool of addresses was deleted, and puts it back', async () => {
    const pools = await lab.kubectl('get ippools.crd.projectcalico.org -o name');
    const pool = pools.split('\n')[0]!;
    await lab.kubectl(`delete ${pool}`);
    const found = await lab.verify();
    expectExit(found, 1);
    expect(found.output).toContain(`IPPool ${pool.split('/')[1]} is gone`);
    expectExit(await lab.sitewright('refresh', SITE), 0);
    expect(await lab.upCounts()).toMatchObject({ create: 1, delete: 0, replace: 0 });
    expect(await lab.kubectl('get ippools.crd.projectcalico.org -o name')).toBe(pools);
    // calico-node starts its tunnel anew with a pool that asks for one.
    await until('the tunnel is back', 300, async () => (await routeToServer()).includes('dev vxlan.calico'));
    expectExit(await lab.verify(), 0);
  });

  step('leaves the tunnel out inside a subnet', async () => {
    lab.edit((text) => text.replace('routing: vxlan\n', 'routing: vxlan-cross-subnet\n'));
    expect((await lab.sitewright('preview', SITE)).output).toContain('DISRUPTIVE routing vxlan becomes');
    expect(await lab.upCounts()).toMatchObject({ delete: 0, replace: 0 });
    await makePods();
    await expectMtus(lab, VXLAN_MTUS);
    await expectFullSize(1430);
    expect(await routeToServer()).toMatch(/via 192\.0\.2\.12 dev (?!vxlan)/);
  });

  step('encrypts with WireGuard', async () => {
    lab.edit((text) =>
      text.replace('routing: vxlan-cross-subnet\n', 'routing: vxlan-cross-subnet\n  wireguard: true\n'),
    );
    expect(await lab.upCounts()).toMatchObject({ delete: 0, replace: 0 });
    const old = await lab.verify();
    expectExit(old, 1);
    expect(old.output).toMatch(/another MTU than the planned 1420: 1430 on the node and 1430 in the pod: .*coredns-/);
    expect(old.output).toContain(`sitewright rollout mtu ${SITE}`);
    // CoreDNS; nobody else would make the others anew.
    const rolled = await lab.sitewright('rollout', 'mtu', SITE, '--yes');
    expectExit(rolled, 0);
    expect(rolled.output).toMatch(/[12] pods of calico were made anew with an MTU of 1420 bytes\./);
    await makePods();
    await expectMtus(lab, WIREGUARD_MTUS);
    await expectFullSize(1420);
    expect(await routeToServer()).toContain('dev wireguard.cali');
    expectExit(await lab.verify(), 0);
  });

  step('keeps each namespace of the baseline to what it may reach, and all others to DNS', async () => {
    lab.edit((text) => text + POLICY);
    expect(await lab.upCounts()).toMatchObject({ delete: 0, replace: 0 });
    const inside = (namespace: string, object: object) => ({
      ...object,
      metadata: { ...(object as { metadata: object }).metadata, namespace },
    });
    await lab.apply(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'monitoring' } },
      inside('vault', pod('safe', 'lab2', 'safe', ['python3', '-c', SERVER])),
      inside('vault', pod('clerk', 'lab1', 'clerk', ['sleep', '86400'])),
      inside('people', pod('person', 'lab1', 'person', ['sleep', '86400'])),
      inside('people', pod('resident', 'lab2', 'person', ['sleep', '86400'])),
      inside('monitoring', pod('scraper', 'lab1', 'scraper', ['sleep', '86400'])),
    );
    for (const namespace of ['vault', 'people', 'monitoring'])
      await lab.kubectl(`wait pods --all -n ${namespace} --for=condition=Ready --timeout=600s`);
    const safe = await lab.kubectl("get pod safe -n vault -o jsonpath='{.status.podIP}'");
    await becomes('-n monitoring scraper', safe, 8080, 'hello');
    for (const from of ['friend', '-n vault clerk', '-n people person']) {
      for (const address of [safe, await serverAddress()]) expect(await said(from, address, 8080)).toBeNull();
    }
    // The API from the worker: on the API server's own machine ipvs hands a packet over before any rule for pods sees it.
    const api = 'kubernetes.default.svc.cluster.local';
    expect(await connects('-n vault safe', api, 443)).toBe(true);
    expect(await connects('server', '10.96.0.1', 443)).toBe(false);
    expect(await connects('-n people person', '192.0.2.12', 22)).toBe(true);
    expect(await connects('-n vault clerk', '192.0.2.12', 22)).toBe(false);
    expect(await connects('-n people person', '192.0.2.12', 10250)).toBe(false);
    expect(await connects('-n people resident', api, 443)).toBe(false);
    const lookUp = `import socket; socket.getaddrinfo("${api}", 443)`;
    for (const from of ['friend', '-n people person']) await lab.kubectl(`exec ${from} -- python3 -c '${lookUp}'`);
    const kept = await lab.verify();
    expectExit(kept, 0);
    expect(kept.output).toMatch(/^ *ordinary +lab2 +4 of 4 +the API server +the pod on lab2, the pod on lab1$/m);
    expect(kept.output).toMatch(
      /^ *personal +lab2 +4 of 4 +nothing +the API server, the pod on lab2, the pod on lab1$/m,
    );
    expect(kept.output).toMatch(
      /^ *everyone +lab2 +4 of 4 +nothing +the API server, the pod on lab2, the pod on lab1$/m,
    );
    await lab.kubectl('delete globalnetworkpolicies.crd.projectcalico.org default.sitewright-baseline');
    const open = await lab.verify();
    expectExit(open, 1);
    expect(open.output).toContain('reaches the pod on lab1, which policy.baseline for namespaces without policies');
    expectExit(await lab.sitewright('refresh', SITE), 0);
    expect(await lab.upCounts()).toMatchObject({ create: 1, delete: 0, replace: 0 });
    lab.edit((text) => text.replace(/\npolicy:\n[^]*$/, '\n'));
    await lab.upCounts();
    await becomes('friend', await serverAddress(), 8080, 'hello');
    // Whatever is in it is not the kit's to delete.
    expect(await lab.kubectl('get namespace vault -o name')).toBe('namespace/vault');
  });
});
