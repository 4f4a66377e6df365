import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parse } from 'yaml';
import { guestinfoConfig, guestinfoSeed, METADATA_KEY, USER_DATA_KEY } from '../../../components/machines/guestinfo';
import { dualStackSeed } from '../fixtures';
import { cloudInitEnv } from './package';

/** The documents of a machine on vSphere, as cloud-init's own data source, schema and renderer take them. */

const settings = { ...dualStackSeed, hostName: 'no', mac: '00:50:56:12:34:56' };

interface Outcome {
  found: boolean;
  instanceId: string;
  hostName: string;
  userData: string;
  netplan: string;
  /** What the vCenter would still have. */
  left: Record<string, string>;
}

const program = join(__dirname, 'vmware.py');

function cloudInit(config: Record<string, string>): Outcome {
  const env = cloudInitEnv();
  const stdout = execFileSync('python3', [program], {
    input: JSON.stringify({ config }),
    env,
    encoding: 'utf8',
    stdio: 'pipe',
  });
  return JSON.parse(stdout) as Outcome;
}

const seed = guestinfoSeed(settings);
const config = guestinfoConfig(seed);

test('the first start: name, network and user data are taken, and the key is gone from guestinfo', () => {
  const outcome = cloudInit(config);
  expect(outcome).toMatchObject({
    found: true,
    instanceId: settings.instanceId,
    hostName: 'no',
    userData: seed.userData,
  });
  expect(parse(outcome.netplan).network.ethernets.primary).toEqual({
    match: { macaddress: settings.mac },
    dhcp4: false,
    dhcp6: false,
    'accept-ra': false,
    mtu: 9000,
    addresses: settings.addresses,
    gateway4: '192.0.2.1',
    gateway6: '2001:db8::1',
    routes: settings.routes,
    nameservers: { addresses: ['192.0.2.53'], search: ['example.org'] },
  });
  expect(outcome.left[USER_DATA_KEY]).toBe('---');
  expect(outcome.left[METADATA_KEY]).toBe(config[METADATA_KEY]);
});

test('later starts without the user data are those of the same machine', () => {
  const metadata = Object.fromEntries(Object.entries(config).filter(([key]) => !key.startsWith(USER_DATA_KEY)));
  expect(cloudInit(metadata)).toMatchObject({ found: true, instanceId: settings.instanceId });
});

test('a user document that cloud-init does not know is refused by its schema', () => {
  const broken = guestinfoConfig({ ...seed, userData: '#cloud-config\nbootcmd: no list\n' });
  expect(() => cloudInit(broken)).toThrow(/bootcmd/);
});
