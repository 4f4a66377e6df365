import fc from 'fast-check';
import { computePlan, planJson, type SitePlan } from '../../components/plan';
import { assignRounds, coveringSample, everyPair, type Pair } from '../../components/plan/pairs';
import { siteSchema } from '../../components/spec/schema';
import { contains, overlaps, parseIp, within } from '../../components/plan/ip';
import { byFamily, clusterNetworks, compute, HOST_KEY, KIT, planOf, siteOf } from './site';

const families = fc.constantFrom<('v4' | 'v6' | 'dual')[]>('v4', 'v6', 'dual');
const routings = fc.constantFrom('auto', 'bgp', 'ipip', 'ipip-cross-subnet', 'vxlan', 'vxlan-cross-subnet');

/** Sites that may or may not work: what the plan makes of them must hold either way. */
const anySite = fc
  .record({
    kind: families,
    routing: routings,
    wireguard: fc.boolean(),
    gre: fc.boolean(),
    mtu: fc.integer({ min: 576, max: 65535 }),
    subnets: fc.array(fc.option(fc.integer({ min: 576, max: 65535 }), { nil: undefined }), {
      minLength: 1,
      maxLength: 4,
    }),
    nodes: fc.array(fc.record({ subnet: fc.nat(3), host: fc.integer({ min: 2, max: 254 }), hypervisor: fc.nat(2) }), {
      minLength: 1,
      maxLength: 26,
    }),
  })
  .map(({ kind, routing, wireguard, gre, mtu, subnets, nodes }) => ({
    name: 'oslo',
    kit: '^0.1.0',
    environment: 'staging',
    underlay: {
      mtu,
      gre,
      subnets: subnets.map((own, index) => ({
        name: `s${index}`,
        cidrs: byFamily(kind, [`192.0.${index}.0/24`], [`2001:db8:${index}::/64`]),
        gateways: byFamily(kind, [`192.0.${index}.1`], [`2001:db8:${index}::1`]),
        mtu: own,
      })),
    },
    network: { ...clusterNetworks(kind), routing, wireguard },
    machines: {
      provider: 'kvm',
      defaults: { cpus: 2, memory: '4GiB', rootDisk: '20GiB' },
      kvm: {
        hypervisors: [0, 1, 2].map((index) => ({ name: `hv${index}`, connection: 'local' })),
        image: 'lab',
        network: { bridge: 'br0' },
      },
      nodes: nodes.map(({ subnet, host, hypervisor }, index) => ({
        name: `n${index}`,
        role: index === 0 ? 'control-plane' : 'worker',
        hypervisor: `hv${hypervisor}`,
        addresses: byFamily(
          kind,
          [`192.0.${subnet % subnets.length}.${host}/24`],
          [`2001:db8:${subnet % subnets.length}::${host}/64`],
        ),
      })),
    },
  }));

/** Checks a property on those of the sites that have a plan; enough of them must, or it would hold of nothing. */
function forPlans(check: (plan: SitePlan) => void): void {
  let plans = 0;
  fc.assert(
    fc.property(anySite, (site) => {
      const { plan, findings } = compute(site);
      expect(plan === null).toBe(findings.some((finding) => finding.severity === 'error'));
      if (!plan) return;
      plans++;
      check(plan);
    }),
    { numRuns: 150, seed: 20261121 },
  );
  expect(plans).toBeGreaterThan(20);
}

test('pod MTU and overhead fit into every underlay', () => {
  forPlans(({ mtu, address, proof, nodes }) => {
    const used = new Set(nodes.map((node) => node.subnet));
    const underlays = address.subnets.filter((subnet) => used.has(subnet.name)).map((subnet) => subnet.mtuBytes);
    for (const bytes of [...underlays, ...proof.pairs.map((pair) => pair.underlayMtuBytes)]) {
      expect(mtu.podMtuBytes + mtu.overheadBytes).toBeLessThanOrEqual(bytes);
    }
    for (const node of nodes) expect(mtu.underlayMtuBytes).toBeLessThanOrEqual(node.interface.mtuBytes);
    expect(mtu.steps.reduce((sum, step) => sum + step.bytes, 0)).toBe(mtu.podMtuBytes);
    for (const device of mtu.devices) expect(device.mtuBytes).toBeGreaterThanOrEqual(mtu.podMtuBytes);
  });
});

test('addresses and MACs are unique, addresses inside their subnet', () => {
  forPlans(({ nodes, address }) => {
    const all = nodes.flatMap((node) => node.addresses);
    expect(new Set(all).size).toBe(all.length);
    expect(new Set(nodes.map((node) => node.interface.mac)).size).toBe(nodes.length);
    for (const node of nodes) {
      const cidrs = address.subnets.find((subnet) => subnet.name === node.subnet)?.cidrs ?? [];
      for (const text of node.addresses) {
        expect(cidrs.some((cidr) => contains(parseIp(cidr).network, parseIp(text)))).toBe(true);
      }
    }
  });
});

test('the same site gives the same bytes, whatever the order of its keys', () => {
  const reversed = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(reversed)
      : value !== null && typeof value === 'object'
        ? Object.fromEntries(
            Object.entries(value)
              .reverse()
              .map(([key, inner]) => [key, reversed(inner)]),
          )
        : value;
  let plans = 0;
  fc.assert(
    fc.property(anySite, (site) => {
      const once = computePlan(siteSchema.parse(site), KIT);
      const again = computePlan(siteSchema.parse(reversed(site)), KIT);
      expect(again.findings).toEqual(once.findings);
      if (!once.plan || !again.plan) return;
      plans++;
      expect(planJson(again.plan)).toBe(planJson(once.plan));
      expect(JSON.parse(planJson(once.plan))).toEqual(once.plan);
    }),
    { numRuns: 80, seed: 20261121 },
  );
  expect(plans).toBeGreaterThan(10);
});

const expectDisjointRounds = (pairs: readonly Pair[], rounds: number[]) => {
  const busy = new Set<string>();
  pairs.forEach((pair, index) => {
    for (const node of pair) {
      const slot = `${rounds[index]}:${node}`;
      expect(busy.has(slot)).toBe(false);
      busy.add(slot);
    }
  });
  const numbers = [...new Set(rounds)].sort((a, b) => a - b);
  expect(numbers).toEqual(numbers.map((_, index) => index));
};

test('every pair is in one round of the tournament, and no round uses a node twice', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 20 }), (count) => {
      const pairs = everyPair(count);
      expect(new Set(pairs.map(String)).size).toBe((count * (count - 1)) / 2);
      const rounds = assignRounds(pairs, count);
      expectDisjointRounds(pairs, rounds);
      expect(new Set(rounds).size).toBe(count % 2 === 0 ? count - 1 : count);
    }),
  );
});

test('a sample has four partners for every node, every two subnets and every two hypervisors', () => {
  const place = fc.record({
    subnet: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    host: fc.option(fc.constantFrom('h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'h7', 'h8')),
  });
  fc.assert(
    fc.property(fc.array(place, { minLength: 21, maxLength: 120 }), (places) => {
      const pairs = coveringSample(places);
      const partners = places.map(() => new Set<number>());
      for (const [a, b] of pairs) {
        expect(a).toBeLessThan(b);
        partners[a].add(b);
        partners[b].add(a);
      }
      for (const each of partners) expect(each.size).toBeGreaterThanOrEqual(4);
      for (const key of ['subnet', 'host'] as const) {
        const seen = new Set(pairs.map(([a, b]) => [places[a][key], places[b][key]].sort().join()));
        for (const a of places.keys()) {
          for (const b of places.keys()) {
            if (a >= b || places[a][key] === null || places[b][key] === null) continue;
            expect(seen.has([places[a][key], places[b][key]].sort().join())).toBe(true);
          }
        }
      }
      expect(new Set(pairs.map(String)).size).toBe(pairs.length);
      expectDisjointRounds(pairs, assignRounds(pairs, places.length));
    }),
    { numRuns: 40 },
  );
});

const bigSite = (count: number) => ({
  name: 'big',
  kit: '*',
  environment: 'production',
  underlay: { subnets: [{ name: 'lan', cidrs: ['172.20.0.0/16'] }] },
  machines: {
    provider: 'kvm',
    defaults: { cpus: 2, memory: '4GiB', rootDisk: '20GiB' },
    kvm: {
      hypervisors: Array.from({ length: count / 20 }, (_, index) => ({ name: `hv${index}`, connection: 'local' })),
      image: 'lab',
      network: { bridge: 'br0' },
    },
    nodes: Array.from({ length: count }, (_, index) => ({
      name: `n${index}`,
      role: index < 3 ? 'control-plane' : 'worker',
      hypervisor: `hv${index % (count / 20)}`,
      addresses: [`172.20.${index >> 7}.${(index & 127) + 10}/16`],
    })),
  },
});

test('a plan of 1,000 nodes is ten plans of 100, not a hundred', () => {
  const [hundred, thousand] = [100, 1000].map((count) => compute(bigSite(count)));
  expect([...hundred.findings, ...thousand.findings]).toEqual([]);
  const bytes = [hundred, thousand].map(({ plan }) => planJson(plan as SitePlan).length);
  expect(bytes[1] / bytes[0]).toBeLessThan(12);
  // Two ring neighbours for each node, one pair for every two of 50 hypervisors at most.
  expect(thousand.plan?.proof.pairs.length).toBeLessThanOrEqual(2000 + (50 * 51) / 2);
  expect(Math.max(...(thousand.plan?.proof.pairs ?? []).map((pair) => pair.round))).toBeLessThan(20);
});

test('the pods of every node have networks of their own, inside those of the cluster, and everybody knows the way', () => {
  const hosts = fc.uniqueArray(fc.integer({ min: 2, max: 254 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(families, hosts, (kind, numbers) => {
      const site = siteOf(kind, 1, { kubernetes: { version: '1.36.1' }, kubeProxy: { mode: 'iptables' } });
      const nodes = numbers.map((host, index) => ({
        name: `n${index}`,
        role: index === 0 ? 'control-plane' : 'worker',
        addresses: byFamily(kind, [`192.0.1.${host}/24`], [`2001:db8:1::${host.toString(16)}/64`]),
        ssh: { hostKey: HOST_KEY },
      }));
      const { nodes: planned, address } = planOf({ ...site, machines: { provider: 'existing', nodes } });
      const all = planned.map((node) => node.cluster!.podCidrs);
      const networks = all.flat().map((cidr) => ({ network: parseIp(cidr).network }));
      expect(overlaps(networks)).toEqual([]);
      for (const cidrs of all) {
        expect(cidrs.every((cidr, at) => within(parseIp(address.podCidrs[at]).network, parseIp(cidr).network))).toBe(
          true,
        );
      }
      planned.forEach((node, index) => {
        const others = all.filter((_, other) => other !== index).flat();
        expect(node.interface.podRoutes.map(({ to }) => to)).toEqual(others);
        for (const { to, via } of node.interface.podRoutes) {
          const owner = planned.find((each) => each.addresses.some((own) => own.split('/')[0] === via))!;
          expect(owner.cluster!.podCidrs).toContain(to);
        }
      });
    }),
    { numRuns: 60, seed: 20261121 },
  );
});
