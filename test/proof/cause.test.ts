import * as fc from 'fast-check';
import { likelyCause, narrow, nextSizes } from '../../components/proof/cause';

test('sizes of a round', () => {
  expect(nextSizes(100, 1500, 1)).toEqual([800]);
  expect(nextSizes(100, 1500, 3)).toEqual([450, 800, 1150]);
  expect(nextSizes(1449, 1452, 32)).toEqual([1450, 1451]);
  expect(nextSizes(1450, 1451, 32)).toEqual([]);
});

test('bounds after a round', () => {
  const bounds = { passesBytes: 100, failsBytes: 1500 };
  expect(narrow(bounds, [450, 800, 1150], new Set([450, 800]))).toEqual({ passesBytes: 800, failsBytes: 1150 });
  expect(narrow(bounds, [450, 800, 1150], new Set())).toEqual({ passesBytes: 100, failsBytes: 450 });
  expect(narrow(bounds, [450, 800, 1150], new Set([450, 800, 1150]))).toEqual({ passesBytes: 1150, failsBytes: 1500 });
  // 450 was lost at random: a larger one that passed says so.
  expect(narrow(bounds, [450, 800, 1150], new Set([800]))).toEqual({ passesBytes: 800, failsBytes: 1150 });
});

test('the search finds every MTU to the byte, and 32 ways in two rounds for 1500', () => {
  fc.assert(
    fc.property(fc.integer({ min: 101, max: 9000 }), fc.integer({ min: 1, max: 32 }), (wanted, ways) => {
      const mtu = 100 + ((wanted * 7919) % (wanted - 100));
      let bounds = { passesBytes: 100, failsBytes: wanted };
      for (let sizes = nextSizes(100, wanted, ways); sizes.length > 0;) {
        bounds = narrow(bounds, sizes, new Set(sizes.filter((size) => size <= mtu)));
        sizes = nextSizes(bounds.passesBytes, bounds.failsBytes, ways);
      }
      expect(bounds.passesBytes).toBe(mtu);
    }),
  );
});

test.each([
  [1500, 1450, 'something between them adds 50 bytes, as VXLAN does'],
  [1500, 1480, 'something between them adds 20 bytes, as IP-in-IP does'],
  [1500, 1476, 'something between them adds 24 bytes, as GRE does'],
  [1500, 1492, 'something between them adds 8 bytes, as PPPoE does'],
  [1500, 1440, 'something between them adds 60 bytes, as WireGuard does'],
  [9000, 8930, 'something between them adds 70 bytes, as VXLAN over IPv6 does'],
  [9000, 1500, 'a switch, bridge or host between them was left at the default of 1500'],
  [1500, 1438, 'something between them takes 62 bytes; IPsec takes 50 to 80 by cipher'],
  [1500, 1400, 'a device between them has an MTU of 1400'],
])('%i wanted, %i passes: %s', (wanted, passes, cause) => expect(likelyCause(wanted, passes)).toBe(cause));
