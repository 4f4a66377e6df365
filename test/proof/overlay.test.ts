import { provePair } from '../../components/proof/prove';
import { startNetwork, type TestNetwork } from './network';

let net: TestNetwork;
beforeAll(async () => {
  net = await startNetwork({ overlay: true });
});
afterAll(() => net?.stop());

test('an underlay that is an overlay itself is named by its size', async () => {
  const { findings } = await provePair({
    kind: 'prove-pair',
    pair: {
      a: 'one',
      b: 'two',
      sameSubnet: true,
      sameHost: false,
      addresses: [{ family: 'ipv4', a: net.a.address, b: net.b.address }],
      underlayMtuBytes: 1500,
      encapsulation: 'vxlan',
      podMtuBytes: 1450,
      podFamilies: ['ipv4'],
    },
    a: { name: 'one', role: 'worker', target: net.a.target },
    b: { name: 'two', role: 'worker', target: net.b.target },
    ports: [],
    thresholds: { lossPercent: 0, jitterMilliseconds: 1000, controlPlaneRoundTripMilliseconds: 1000 },
    warn: [],
  });
  expect(findings[0]?.message).toBe(
    '192.0.2.11 -> 192.0.2.12: 1500 does not pass, 1450 does: something between them adds 50 bytes, as VXLAN does',
  );
});
