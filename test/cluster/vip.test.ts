import { haproxyConfiguration, keepalivedConfiguration } from '../../components/cluster/vipFiles';
import type { VipPlan } from '../../components/plan/clusterTypes';
import { until } from '../plugins/kubernetes/apiServer';
import { pki } from './fixtures';
import { VipNetwork } from './vipNetwork';

const plan = (address: string, members: string[]): VipPlan => ({
  address,
  vrid: 77,
  members: members.map((each, index) => ({ node: `cp${index + 1}`, address: each })),
  advertSeconds: 1,
  checkSeconds: 1,
});
const ipv4 = plan('192.0.2.10', ['192.0.2.11', '192.0.2.12', '192.0.2.13']);
const ipv6 = plan('2001:db8::10', ['2001:db8::11', '2001:db8::12', '2001:db8::13']);

describe('the configuration', () => {
  test('has a password that no other site has, where VRRP knows one', () => {
    const passwordOf = (keys: typeof pki, vip = ipv4) =>
      /auth_pass (.*)/.exec(keepalivedConfiguration('cp1', vip, keys))?.[1];
    expect(passwordOf(pki)).toMatch(/^[0-9a-f]{8}$/);
    expect(passwordOf({ ...pki, ca: pki.etcdCa })).not.toBe(passwordOf(pki));
    expect(passwordOf(pki, ipv6)).toBeUndefined();
  });

  test('names every peer, and none where there is none', () => {
    expect(keepalivedConfiguration('cp2', ipv4, pki)).toContain(
      'unicast_src_ip 192.0.2.12\n  check_unicast_src\n  unicast_peer {\n    192.0.2.11\n    192.0.2.13\n  }',
    );
    expect(keepalivedConfiguration('cp1', plan('192.0.2.10', ['192.0.2.11']), pki)).not.toContain('unicast');
    const endpoint = { name: 'api.oslo.internal', port: 6443, address: '2001:db8::10', kind: 'vip' as const };
    expect(haproxyConfiguration({ endpoint, vip: ipv6 })).toContain('  server cp3 [2001:db8::13]:6443\n');
  });
});

describe.each([
  ['IPv4', ipv4],
  ['IPv6', ipv6],
])('a virtual address of %s', (_, vip) => {
  const network = new VipNetwork(vip);
  const eventually = async (what: string, condition: () => boolean) => {
    try {
      await until(what, condition);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${network.logs()}`);
    }
  };
  const answers = () => network.readyz() === 'ok';
  const oneHolder = () => network.holders().length === 1;
  afterAll(() => network.stop());

  test('is held by one node before there is an API server, and leads to one that began after haproxy', async () => {
    network.start();
    for (const { node } of vip.members) network.startVip(node);
    await eventually('one holder', oneHolder);
    expect(network.readyz()).toBe('nothing');
    network.startApiServer('cp1');
    await eventually('the first API server', answers);
    network.startApiServer('cp2');
    await eventually('the second API server', () => network.readyz(vip.members[1]!.address) === 'ok');
    for (const node of ['cp1', 'cp2']) {
      // On a node that does not hold the address nothing above has waited for it.
      await eventually(`haproxy on ${node}`, () => network.listeners(node).includes('haproxy'));
      expect(network.listeners(node)).toMatch(/\*:6443 .*kube-apiserver/);
    }
  });

  test('stays where it is when an API server ends, and leads to another one', async () => {
    const before = network.holders();
    await network.kill('kube-apiserver-cp1');
    await eventually('the other API server', answers);
    expect(network.holders()).toEqual(before);
  });

  test('moves when its node loses its cable, and stays there when the node is back', async () => {
    const [lost] = network.holders();
    // cp2 has the only API server now.
    if (lost === 'cp2') {
      network.startApiServer('cp1');
      await eventually('an API server on a node that stays', () => network.readyz(vip.members[0]!.address) === 'ok');
    }
    network.setCable(lost!, 'down');
    await eventually('another holder', () => network.holders().some((node) => node !== lost));
    await eventually('the address on the other node', answers);
    network.setCable(lost!, 'up');
    await eventually('one holder', oneHolder);
    await eventually('the address when all are back', answers);
  });

  test('moves when haproxy of its node ends', async () => {
    const [holder] = network.holders();
    await network.kill(`haproxy-${holder}`);
    await eventually('another holder', () => oneHolder() && network.holders()[0] !== holder);
    await eventually('the address on the other node', answers);
  });

  test('goes to another node when its own is to leave, and the others forget that one then', async () => {
    const [holder] = network.holders();
    for (const { node, address } of vip.members)
      if (node !== holder && network.readyz(address) !== 'ok') network.startApiServer(node);
    await network.stepDown(holder!);
    await eventually('another holder', () => oneHolder() && network.holders()[0] !== holder);
    await eventually('the address on the other node', answers);
    expect(network.listeners(holder!)).not.toMatch(/haproxy/);
  });
});
