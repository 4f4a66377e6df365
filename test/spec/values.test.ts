import { formatProblem } from '../../components/spec';
import { loadOslo, OSLO, osloWith, problemsOf, removeStacksFolders } from './stacksFolder';

afterAll(removeStacksFolders);

const FILE = 'stacks/sites/oslo.yaml';
/** What `more`, below the last machine or at the top level, is told. */
const cases: [string, string, string][] = [
  [
    'text for a number',
    '      cpus: "2"\n',
    `${FILE}:14:13 machines.nodes[cp1].cpus: "2" is text: write a whole number from 1 to 512 (CPUs); take the quotes away`,
  ],
  [
    'a size without its unit',
    '      memory: 4096\n',
    `${FILE}:14:15 machines.nodes[cp1].memory: 4096 is not text: write a whole number and B, KiB, MiB, GiB or TiB, such as 4GiB`,
  ],
  [
    'a unit that does not exist',
    '      rootDisk: 4GB\n',
    `${FILE}:14:17 machines.nodes[cp1].rootDisk: "4GB" is not allowed: write a whole number and B, KiB, MiB, GiB or TiB, such as 4GiB`,
  ],
  [
    'a scalar for a map',
    '      ssh: 22\n',
    `${FILE}:14:12 machines.nodes[cp1].ssh: 22 is not allowed: write a map with the keys host, port, hostKey`,
  ],
  [
    'a scalar for a list',
    'network:\n  podCidrs: 10.244.0.0/16\n',
    `${FILE}:15:13 network.podCidrs: "10.244.0.0/16" is text: write a list (1 to 2), each a network and its prefix length, such as 10.244.0.0/16; begin its line with a dash, or put it in [ ]`,
  ],
  [
    'yes for true',
    'network:\n  wireguard: yes\n',
    `${FILE}:15:14 network.wireguard: "yes" is text: write true or false; did you mean true?`,
  ],
  [
    'a list entry without a value',
    '    -\n',
    `${FILE}:14:6 machines.nodes[1]: nothing is written here: write a map with the keys name, role, state, addresses, mac, interface, hypervisor, bridge, placement, cpus, memory, rootDisk, etcdDisk, zone, labels, taints, ssh`,
  ],
  [
    'an unknown key with a near name',
    'kubeProxy:\n  sheduler: rr\n',
    `${FILE}:15:3 kubeProxy.sheduler: unknown key; did you mean scheduler? Keys here: mode, scheduler, strictARP, timeouts, excludeCIDRs, conntrack`,
  ],
  [
    'an unknown key, whose value might be a secret',
    'kubeProxy:\n  colour: hunter2\n',
    `${FILE}:15:3 kubeProxy.colour: unknown key. Keys here: mode, scheduler, strictARP, timeouts, excludeCIDRs, conntrack`,
  ],
  [
    'an unknown key without a value',
    'kubeProxy:\n  sheduler:\n',
    `${FILE}:15:3 kubeProxy.sheduler: unknown key; did you mean scheduler? Keys here: mode, scheduler, strictARP, timeouts, excludeCIDRs, conntrack`,
  ],
  [
    'an enum, with a near value',
    'kubeProxy:\n  mode: IPVS\n',
    `${FILE}:15:9 kubeProxy.mode: "IPVS" is not allowed: write ipvs, nftables or iptables; did you mean ipvs?`,
  ],
  [
    'a number that is too large',
    'network:\n  podMtu: 70000\n',
    `${FILE}:15:11 network.podMtu: 70000 is too large: write auto or a whole number from 576 to 65535 (bytes)`,
  ],
  [
    'a number that is too small',
    'network:\n  podMtu: 5\n',
    `${FILE}:15:11 network.podMtu: 5 is too small: write auto or a whole number from 576 to 65535 (bytes)`,
  ],
  [
    'a word of a union, misspelt',
    'network:\n  podMtu: atuo\n',
    `${FILE}:15:11 network.podMtu: "atuo" is not allowed: write auto or a whole number from 576 to 65535 (bytes); did you mean auto?`,
  ],
  [
    'none of a union',
    'nodePrep:\n  sysctls:\n    net.core.somaxconn: true\n',
    `${FILE}:16:25 nodePrep.sysctls[net.core.somaxconn]: true is not allowed: write a whole number or text`,
  ],
  [
    'a free key that is not allowed',
    'nodePrep:\n  sysctls:\n    somaxconn: 5\n',
    `${FILE}:16:5 nodePrep.sysctls.somaxconn: "somaxconn" is not allowed as a key: write a sysctl key such as net.core.somaxconn`,
  ],
  [
    'an address that is none',
    'kubernetes:\n  vip: 192.0.2.10/24\n',
    `${FILE}:15:8 kubernetes.vip: "192.0.2.10/24" is not allowed: write an IPv4 or IPv6 address without a prefix length, such as 192.0.2.11`,
  ],
  [
    'a percentage without its sign',
    'checks:\n  loss: 5\n',
    `${FILE}:15:9 checks.loss: 5 is not text: write a number and %, such as 0.5%`,
  ],
];
test.each(cases)('%s', (_, more, expected) => {
  expect(problemsOf(osloWith(more))).toEqual([expected]);
});

test('missing keys are told at the map they belong to, with an example', () => {
  const site = OSLO.replace('  subnets:\n    - name: rack1\n      cidrs: [192.0.2.0/24]', '  mtu: 1500').replace(
    '      role: control-plane\n',
    '',
  );
  expect(problemsOf(site)).toEqual([
    `${FILE}:5:3 underlay.subnets: missing, and required. The L2 segments of the machines. Merged by name. Example: subnets: [{ name: rack1, cidrs: [192.0.2.0/24], gateways: [192.0.2.1] }]`,
    `${FILE}:9:7 machines.nodes[cp1].role: missing, and required. Role in the cluster. control-plane machines hold etcd. Example: role: control-plane`,
  ]);
});

test('a required key without a value is missing, at that key', () => {
  expect(problemsOf(OSLO.replace('environment: staging', 'environment:'))).toEqual([
    `${FILE}:3:1 environment: missing, and required. What the site is used for. Example: environment: production`,
  ]);
});

test('lists with too few and too many entries', () => {
  const site = OSLO.replace('[192.0.2.11/24]', '[]').replace('[192.0.2.0/24]', '[192.0.2.0/24, fd00::/64, 10.0.0.0/8]');
  expect(problemsOf(site)).toEqual([
    `${FILE}:7:14 underlay.subnets[rack1].cidrs: the list has 3 entries, which is too many: write a list (1 to 2), each a network and its prefix length, such as 10.244.0.0/16`,
    `${FILE}:13:18 machines.nodes[cp1].addresses: the list has 0 entries, which is too few: write a list (1 to 2), each an address and its prefix length, such as 192.0.2.11/24`,
  ]);
});

describe('a union of maps tells the faults of the branch that fits best', () => {
  const kvm = (text: string) => OSLO.replace('provider: existing', `provider: kvm\n  kvm:\n${text}`);

  test('all of them at once', () => {
    const site = kvm(`    hypervisors:
      - name: hv1
        connection: lokal
      - name: hv2
        connection: { host: hv2, hostKey: ssh-rsa AAAA, prot: 22 }
      - name: hv3
        connection: [local]
    image: { path: /x, sha: abc }
    network: { libvirtNetwrk: default }
    rxQueueSize: 2048
`);
    expect(problemsOf(site)).toEqual([
      `${FILE}:13:21 machines.kvm.hypervisors[hv1].connection: "lokal" is not allowed: write local or a map with the keys host, port, user, hostKey; did you mean local?`,
      `${FILE}:15:43 machines.kvm.hypervisors[hv2].connection.hostKey: "ssh-rsa AAAA" is not allowed: write the line of ssh_host_ed25519_key.pub without its comment: ssh-ed25519 AAAA…`,
      `${FILE}:15:57 machines.kvm.hypervisors[hv2].connection.prot: unknown key; did you mean port? Keys here: host, port, user, hostKey`,
      `${FILE}:17:21 machines.kvm.hypervisors[hv3].connection: a list does not belong here: write local or a map with the keys host, port, user, hostKey`,
      `${FILE}:18:12 machines.kvm.image.sha256: missing, and required. Checksum of the image file. Another content is refused. Example: sha256: the 64 digits that sha256sum prints`,
      `${FILE}:18:24 machines.kvm.image.sha: unknown key. Keys here: path, url, sha256, format, kernel`,
      `${FILE}:19:14 machines.kvm.network.libvirtNetwork: missing, and required. Name of a libvirt network on every hypervisor. Example: libvirtNetwork: default`,
      `${FILE}:19:16 machines.kvm.network.libvirtNetwrk: unknown key; did you mean libvirtNetwork? Keys here: bridge, libvirtNetwork`,
      `${FILE}:20:18 machines.kvm.rxQueueSize: 2048 is not allowed: write 256, 512 or 1024 (descriptors)`,
    ]);
  });

  test('keys of two branches together', () => {
    const site = kvm(`    hypervisors: [{ name: hv1, connection: local }]
    image: labb
    network: { bridge: br0, libvirtNetwork: default }
`);
    expect(problemsOf(site)).toEqual([
      `${FILE}:12:12 machines.kvm.image: "labb" is not allowed: write lab or a map with the keys path, url, sha256, format, kernel; did you mean lab?`,
      `${FILE}:13:29 machines.kvm.network.libvirtNetwork: cannot stand beside bridge: keep one of the two`,
    ]);
  });
});

test('a kit of another version is refused with what to do', () => {
  expect(problemsOf(OSLO.replace('^0.1.0', '^0.2.0'))).toEqual([
    `${FILE}:2:6 kit: "^0.2.0" does not include this kit, which is 0.1.0: check out a version of the kit that fits, or review what this one makes of the site (sitewright plan oslo) and then write kit: ^0.1.0 in ${FILE}`,
  ]);
});

test('a kit range that is none', () => {
  expect(problemsOf(OSLO.replace('^0.1.0', 'latest'))).toEqual([
    `${FILE}:2:6 kit: "latest" is not allowed: write a version range, such as ^0.1.0`,
  ]);
});

test('the name must be the name of the file', () => {
  expect(problemsOf(OSLO.replace('name: oslo', 'name: bergen'))).toEqual([
    `${FILE}:1:7 name: "bergen" is not the name of its file: write oslo, or rename the file to bergen.yaml`,
  ]);
});

test('a problem carries its path and what was given as data', () => {
  const result = loadOslo({ 'sites/oslo.yaml': osloWith('      cpus: 0\n') });
  expect(result).toEqual({
    ok: false,
    problems: [
      {
        severity: 'error',
        file: FILE,
        line: 14,
        column: 13,
        path: ['machines', 'nodes', 0, 'cpus'],
        where: 'machines.nodes[cp1].cpus',
        given: '0',
        message: '0 is too small: write a whole number from 1 to 512 (CPUs)',
      },
    ],
  });
});

test('a value over several lines is told on one', () => {
  const [line] = problemsOf(osloWith('kubernetes:\n  vip: |\n    a\n    b\n'));
  expect(line).toMatch(/^stacks\/sites\/oslo.yaml:15:8 kubernetes.vip: "a\\nb\\n" is not allowed: /);
  expect(formatProblem({ ...position, message: 'one\n  two' })).toBe('a.yaml:1:2 x: warning: one two');
});
const position = { file: 'a.yaml', line: 1, column: 2, path: ['x'], where: 'x', severity: 'warning' as const };
