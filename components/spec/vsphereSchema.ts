import { z } from 'zod';
import { hostOrIp, labelValue, name, text } from './values';

/** `machines.vsphere`: where on a vCenter the machines are made, and what they are like. */

/** A name or an inventory path as vCenter shows it: almost anything, but not nothing. */
const entity = () => text(/^\S(.*\S)?$/, 'a name or an inventory path, as vCenter shows it');
const inventoryName = (description: string, example: string) => entity().meta({ description, examples: [example] });
const optionalName = (description: string, example: string) =>
  entity()
    .optional()
    .meta({ description, examples: [example] });

const placement = z.strictObject({
  name: name().meta({
    description: 'Name of the placement; lists merge by it and machines refer to it.',
    examples: ['zone-a'],
  }),
  zone: labelValue().optional().meta({
    description: 'Failure zone of the machines here, where they do not state the same one themselves.',
  }),
  datacenter: inventoryName('Datacenter.', 'DC1'),
  cluster: optionalName('Cluster that runs the machines. Exactly one of `cluster` and `host`.', 'compute-a'),
  host: optionalName('Host that runs the machines, outside or inside a cluster.', 'esx1.acme.example'),
  hostGroup: optionalName(
    'Host group of `cluster` that runs the machines, such as the hosts of one room: the kit makes the rule that keeps them there.',
    'room-1',
  ),
  resourcePool: optionalName('Resource pool. Default: the root pool of the cluster or host.', 'kubernetes'),
  folder: optionalName("Folder of the machines, which must exist. Default: the datacenter's own.", 'kubernetes/oslo'),
  datastore: optionalName('Datastore of the machines. Exactly one of `datastore` and `datastoreCluster`.', 'vsan-a'),
  datastoreCluster: optionalName('Datastore cluster of the machines: Storage DRS chooses the datastore.', 'pod-a'),
  etcdDatastore: optionalName('Datastore of etcd disks, on fast media (NVMe). Default: `datastore`.', 'nvme-a'),
  storagePolicy: optionalName(
    'Storage policy of the machines and their disks. Default: the one of the datastore.',
    'mirrored',
  ),
  etcdStoragePolicy: optionalName('Storage policy of etcd disks. Default: `storagePolicy`.', 'mirrored-nvme'),
  isoDatastore: optionalName(
    "Datastore that holds the image of the site's bundle. Default: `datastore`; required with a datastore cluster.",
    'iso',
  ),
});

const network = z.strictObject({
  name: name().meta({ description: 'Name of the network; lists merge by it.', examples: ['nodes'] }),
  portGroup: inventoryName(
    'Standard or distributed port group, by name or by inventory path where several have the name.',
    'k8s-nodes',
  ),
  subnets: z
    .array(name())
    .min(1)
    .meta({ description: 'Subnets of `underlay.subnets` that it carries.', examples: [['rack1']] }),
  placements: z
    .array(name())
    .min(1)
    .optional()
    .meta({ description: 'Placements whose machines are attached to it. Default: every one.' }),
  switchMtu: z.int().min(1280).max(9000).default(1500).meta({
    unit: 'bytes',
    description: 'MTU of its virtual switch in bytes, as vCenter shows it. The machines never get more.',
  }),
});

export const vsphere = z.strictObject({
  server: hostOrIp().meta({
    description:
      'Name or address of the vCenter, with its port where that is not 443. User and password, or a session, are secrets.',
    examples: ['vcenter.acme.example'],
  }),
  caFile: z.string().min(1).optional().meta({
    description:
      'PEM file of the authority that signed the certificate of the vCenter, on the machine that runs the program. Default: the authorities of the system.',
  }),
  thumbprint: text(/^([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$/, '32 hexadecimal bytes with colons between them')
    .optional()
    .meta({
      description: 'SHA-256 fingerprint of the certificate of the vCenter, in place of an authority.',
      examples: ['what openssl x509 -noout -fingerprint -sha256 prints'],
    }),
  template: z
    .strictObject({
      name: inventoryName(
        'Name or inventory path of a template or machine, or name of an item of `library`, its version included.',
        'debian-12-2026.11',
      ),
      library: optionalName('Content library that has the template as an item. Default: the inventory.', 'images'),
    })
    .meta({
      description: 'What the machines are cloned from, with cloud-init. A change reaches new machines only.',
      examples: [{ name: 'debian-12-2026.11' }],
    }),
  placements: z
    .array(placement)
    .min(1)
    .meta({
      description: 'Places of the vCenter where machines are made. Merged by name.',
      examples: [[{ name: 'main', datacenter: 'DC1', cluster: 'compute-a', datastore: 'vsan-a' }]],
    }),
  networks: z
    .array(network)
    .min(1)
    .meta({
      description: 'Port groups, each with the subnets that it carries. Merged by name.',
      examples: [[{ name: 'nodes', portGroup: 'k8s-nodes', subnets: ['rack1'] }]],
    }),
  disks: z.enum(['thin', 'thick', 'eager']).default('thin').meta({
    description: 'Provisioning of the disks: as they are written, allocated at once, or allocated and zeroed at once.',
  }),
  firmware: z.enum(['efi', 'bios']).default('efi').meta({ description: 'Firmware, the same as that of the template.' }),
  secureBoot: z
    .boolean()
    .default(false)
    .meta({ description: 'Start signed boot loaders and kernels only; firmware efi.' }),
  hotAdd: z.boolean().default(false).meta({
    description: 'CPUs and memory can grow while a machine runs. It costs vNUMA, so it is off.',
  }),
  cpuReservation: text(/^[1-9][0-9]*MHz$/, 'a whole number and MHz, such as 4000MHz')
    .optional()
    .meta({
      description: 'CPU that each machine has for itself, in MHz. Default: none.',
    }),
  memoryReservation: z.enum(['none', 'all']).default('none').meta({
    description: '`all`: the memory of the machines is never shared, swapped or taken back.',
  }),
  latencySensitivity: z.enum(['normal', 'high']).default('normal').meta({
    description: '`high`: a physical CPU for each virtual one; needs `memoryReservation: all` and a `cpuReservation`.',
  }),
  antiAffinity: z.enum(['preferred', 'required', 'off']).default('preferred').meta({
    description:
      'Rule that keeps control-plane machines (etcd) of one cluster on different hosts. `required`: one that finds no host of its own does not start.',
  }),
  esxi: z.enum(['6.7', '7.0', '8.0', '9.0']).default('8.0').meta({
    description: 'Oldest version of ESXi among the hosts: 6.7 needs one offload more to be off with VXLAN.',
  }),
});
