import { controlPlane, findingsOf, HOST_KEY, kvmSite, node, planOf, siteOf } from './site';

const SHA = 'a'.repeat(64);
const hypervisors = (...names: string[]) => names.map((name) => ({ name, connection: 'local' }));
const kvm = (more: object = {}) => ({
  kvm: { hypervisors: hypervisors('hv1'), image: 'lab', network: { bridge: 'br0' }, ...more },
});

describe('kvm machines', () => {
  test('have sizes from the machine or the defaults, etcd disks on control planes only', () => {
    const plan = planOf(
      kvmSite([controlPlane, node('w1', 1, 12, { cpus: 16, memory: '512MiB', bridge: 'br9' })], {
        defaults: { cpus: 2, memory: '4GiB', rootDisk: '20GiB', etcdDisk: '8GiB' },
      }),
    );
    expect(plan.nodes.map((each) => each.kvm)).toEqual([
      {
        hypervisor: 'hv1',
        attach: { bridge: 'br0' },
        cpus: 2,
        memoryBytes: 4294967296,
        rootDiskBytes: 21474836480,
        etcdDiskBytes: 8589934592,
        queues: 2,
      },
      {
        hypervisor: 'hv1',
        attach: { bridge: 'br9' },
        cpus: 16,
        memoryBytes: 536870912,
        rootDiskBytes: 21474836480,
        etcdDiskBytes: null,
        queues: 8,
      },
    ]);
    expect(plan.nodes[0]).toMatchObject({
      ssh: { host: '192.0.1.11', port: 22, user: 'sitewright', hostKey: null },
      interface: { driver: 'virtio_net' },
      sharesHostWith: ['w1'],
    });
    expect(plan.machines.kvm?.image).toBe('lab');
  });

  test('have hypervisors and an image with every default filled in', () => {
    const connection = { host: 'hv2.example', hostKey: HOST_KEY };
    const image = { path: '/srv/debian.qcow2', sha256: SHA };
    const plan = planOf(
      kvmSite([{ ...controlPlane, hypervisor: 'hv2' }], {
        ...kvm({ hypervisors: [...hypervisors('hv1'), { name: 'hv2', connection, pool: 'fast' }], image }),
      }),
    );
    expect(plan.machines.kvm).toEqual({
      hypervisors: [
        {
          name: 'hv1',
          connection: 'local',
          uri: 'qemu:///system',
          pool: 'default',
          etcdPool: 'default',
          domainType: 'auto',
        },
        {
          name: 'hv2',
          connection: { host: 'hv2.example', port: 22, user: 'root', hostKey: HOST_KEY },
          uri: 'qemu:///system',
          pool: 'fast',
          etcdPool: 'fast',
          domainType: 'auto',
        },
      ],
      image: { path: '/srv/debian.qcow2', url: null, sha256: SHA, format: 'qcow2', kernel: null },
      volumes: 'overlay',
      cpuMode: 'auto',
      rxQueueSize: 1024,
      autostart: true,
    });
  });

  const REFUSALS: [what: string, site: () => Record<string, unknown>, expected: string][] = [
    [
      'no kvm settings',
      () => kvmSite([controlPlane], { kvm: undefined }),
      'error machines.kvm: machines.kvm is missing: provider kvm needs its hypervisors, image and network',
    ],
    [
      'no size',
      () => kvmSite([controlPlane], { defaults: { cpus: 2, rootDisk: '20GiB' } }),
      'error machines.nodes.0.memory: cp1 has no memory: state it for the machine or in machines.defaults, such as memory: 4GiB',
    ],
    [
      'an unknown hypervisor',
      () => kvmSite([{ ...controlPlane, hypervisor: 'hv9' }]),
      'error machines.nodes.0.hypervisor: hv9 is not in machines.kvm.hypervisors: choose one of hv1',
    ],
    [
      'no hypervisor where there are several',
      () => kvmSite([controlPlane], kvm({ hypervisors: hypervisors('hv1', 'hv2') })),
      'error machines.nodes.0.hypervisor: cp1 needs a hypervisor: there are several, hv1, hv2',
    ],
    [
      'a hypervisor twice',
      () => kvmSite([{ ...controlPlane, hypervisor: 'hv1' }], kvm({ hypervisors: hypervisors('hv1', 'hv1') })),
      'error machines.kvm.hypervisors.1.name: hv1 is the name of another hypervisor too: give each its own',
    ],
    [
      'an etcd disk of a worker',
      () => kvmSite([controlPlane, node('w1', 1, 12, { etcdDisk: '8GiB' })]),
      'error machines.nodes.1.etcdDisk: w1 is a worker and only control-plane machines hold etcd: leave etcdDisk out',
    ],
    [
      'a host key',
      () => kvmSite([{ ...controlPlane, ssh: { hostKey: HOST_KEY } }]),
      'error machines.nodes.0.ssh.hostKey: cp1 gets its host key from the secrets of the site: with provider kvm leave ssh.hostKey out',
    ],
    [
      'an image without a place',
      () => kvmSite([controlPlane], kvm({ image: { sha256: SHA } })),
      'error machines.kvm.image: the image needs a path on the hypervisors or a url that they download: state one of them',
    ],
    [
      'an image with two places',
      () => kvmSite([controlPlane], kvm({ image: { sha256: SHA, path: '/a', url: 'https://example.com/a' } })),
      'error machines.kvm.image.url: the image has a path and a url: keep one of them',
    ],
    [
      'no control plane',
      () => kvmSite([node('w1', 1, 12)]),
      'error machines.nodes: no machine has role control-plane: a cluster needs at least one',
    ],
    [
      'an even number of control planes',
      () => kvmSite([controlPlane, node('cp2', 1, 12, { role: 'control-plane' })], kvm({ antiAffinity: 'off' })),
      'warning machines.nodes: 2 control-plane machines survive no more failures than 1: etcd needs a majority, so use an odd number',
    ],
    [
      'a small control plane',
      () => kvmSite([{ ...controlPlane, cpus: 1 }]),
      'warning machines.nodes.0.cpus: 1 is too few for cp1: kubeadm refuses a control plane with fewer than 2',
    ],
    [
      'more queues than CPUs',
      () => kvmSite([controlPlane], kvm({ queues: 4 })),
      'warning machines.kvm.queues: 4 queues are more than the 2 CPUs of the smallest machine: virtio-net uses one per CPU at most; leave it out to have it computed',
    ],
    [
      'control planes on one hypervisor',
      () => kvmSite([1, 2, 3].map((number) => node(`cp${number}`, 1, 10 + number, { role: 'control-plane' }))),
      'warning machines.nodes.1.hypervisor: cp1, cp2, cp3 are control-plane machines on one hypervisor, hv1: losing it can cost the majority of etcd; spread them, or set machines.kvm.antiAffinity to off',
    ],
  ];
  test.each(REFUSALS)('%s', (_, site, expected) => expect(findingsOf(site())).toEqual([expected]));
});

describe('existing machines', () => {
  test('bring their host key; their driver and host are unknown', () => {
    const plan = planOf(siteOf('v4', 1));
    expect(plan.machines).toEqual({ provider: 'existing', jump: null, kvm: null, vsphere: null });
    expect(plan.nodes[0]).toMatchObject({
      kvm: null,
      ssh: { host: '192.0.1.11', port: 22, user: 'sitewright', hostKey: HOST_KEY },
      interface: { name: null, mac: null, driver: null },
      sharesHostWith: [],
    });
  });

  test('need their host key and refuse what only kvm can use', () => {
    const machines = {
      ...(kvmSite([]).machines as object),
      provider: 'existing',
      nodes: [{ ...controlPlane, cpus: 2, hypervisor: 'hv1' }],
    };
    expect(findingsOf(kvmSite([], machines))).toEqual([
      'error machines.kvm: kvm is for machines that the kit makes: with provider existing leave it out',
      'error machines.defaults.cpus: cpus is for machines that the kit makes: with provider existing leave it out',
      'error machines.defaults.memory: memory is for machines that the kit makes: with provider existing leave it out',
      'error machines.defaults.rootDisk: rootDisk is for machines that the kit makes: with provider existing leave it out',
      'error machines.nodes.0.hypervisor: hypervisor is for machines that the kit makes: with provider existing leave it out',
      'error machines.nodes.0.cpus: cpus is for machines that the kit makes: with provider existing leave it out',
      'error machines.nodes.0.ssh.hostKey: cp1 needs ssh.hostKey: the first connection is checked too; take the line of /etc/ssh/ssh_host_ed25519_key.pub on its console',
    ]);
  });
});
