import { parse } from 'yaml';
import { cloudInitSeed } from '../../components/machines/cloudInit';
import { dualStackSeed } from './fixtures';
import { expectGolden } from './golden';

const { hostKey } = dualStackSeed;

test('the files of a dual-stack machine', () => {
  const seed = cloudInitSeed(dualStackSeed);
  expectGolden('meta-data', seed.metaData);
  expectGolden('network-config', seed.networkConfig);
  expectGolden('user-data', seed.userData);
});

test('user-data is a cloud-config whose host key is the derived one, byte for byte', () => {
  const { userData } = cloudInitSeed(dualStackSeed);
  expect(userData.startsWith('#cloud-config\n')).toBe(true);
  const document = parse(userData);
  expect(document.ssh_keys.ed25519_private).toBe(hostKey.privateKey);
  expect(document.ssh_keys.ed25519_public.trim()).toBe(hostKey.publicKey);
  expect(document.users[0]).toMatchObject({ lock_passwd: true, ssh_authorized_keys: [dualStackSeed.authorizedKey] });
  expect(document.users[0]).not.toHaveProperty('passwd');
});

test('YAML 1.1, which cloud-init reads, finds text where text is meant', () => {
  const seed = cloudInitSeed({ ...dualStackSeed, hostName: 'no', mac: '52:54:00:00:00:11' });
  expect(parse(seed.networkConfig, { version: '1.1' }).ethernets.primary.match.macaddress).toBe('52:54:00:00:00:11');
  expect(parse(seed.metaData, { version: '1.1' })['local-hostname']).toBe('no');
});

test('without gateways, routes, DNS or NTP nothing is said about them', () => {
  const seed = cloudInitSeed({
    ...dualStackSeed,
    gateways: [],
    routes: [],
    dns: { servers: [], search: [] },
    ntpServers: [],
  });
  expect(parse(seed.networkConfig).ethernets.primary).toEqual({
    match: { macaddress: '52:54:00:12:34:56' },
    dhcp4: false,
    dhcp6: false,
    'accept-ra': false,
    mtu: 9000,
    addresses: ['192.0.2.11/24', '2001:db8::11/64'],
  });
  expect(parse(seed.userData)).not.toHaveProperty('ntp');
});
