import { renderClusterProbe } from '../../components/clusterProbe';
import { faultyLayer, pathsBefore, type PathFacts } from '../../components/clusterProbe/layers';
import type { PairFacts, ProofResult, SizeFacts } from '../../components/proof/facts';
import { facts } from './fixtures';

/** What is below the packets of pods, and which of the layers is at fault. */

const size = (wantedBytes: number, largestBytes: number | null = wantedBytes) => ({ wantedBytes, largestBytes });
const before = (underlay: number | null, tunnel: number | null | undefined): PathFacts['before'] => ({
  ...{ underlay: size(1500, underlay), megabytesPerSecond: 80 },
  tunnel: tunnel === undefined ? null : size(1450, tunnel),
});

test.each<[string, PathFacts['before'], PathFacts['now'], string | null]>([
  ['nothing is known', null, null, null],
  [
    'the machines carry what they should, and the tunnel did',
    before(1500, 1450),
    size(1500),
    'the machines carry 1500 bytes now, and a tunnel as planned carried 1450 bytes before the cluster was made: the fault is in the network of the pods or a policy',
  ],
  [
    'the tunnel never did',
    before(1500, 1400),
    size(1500),
    'the machines carry 1500 bytes now, and a tunnel as planned carried 1400 bytes before the cluster was made: what is between the machines treats the tunnel in another way than their own packets',
  ],
  [
    'the machines did, and do no more',
    before(1500, 1450),
    size(1500, 1450),
    'the machines carry 1450 bytes now, and 1500 bytes before the cluster was made: the network below the machines has changed since',
  ],
  [
    'the machines never did',
    before(1400, null),
    size(1500, null),
    'the machines carry nothing now, and 1400 bytes before the cluster was made: the network below the machines is at fault',
  ],
  [
    'only what is now is known',
    null,
    size(1500),
    'the machines carry 1500 bytes now: the fault is above them, in the network of the pods or a policy',
  ],
  [
    'no tunnel was tried',
    before(1500, undefined),
    null,
    'the machines carried 1500 bytes; a tunnel as planned was not tried before the cluster was made',
  ],
])('%s', (_, known, now, said) => expect(faultyLayer({ before: known, now })).toBe(said));

const measuredSize = (wantedBytes: number, largestBytes: number) =>
  ({ wantedBytes, largestBytes, arrived: 1, fragments: 0 }) as unknown as SizeFacts;
const pair = {
  kind: 'pair',
  directions: [
    {
      ...{ from: 'one', to: 'two', family: 'ipv4', underlay: measuredSize(1500, 1500) },
      ...{ tunnel: measuredSize(1450, 1450), tcp: { bytes: 8e6, seconds: 0.1, retransmits: 0, error: null } },
    },
    {
      ...{ from: 'two', to: 'one', family: 'ipv4', underlay: measuredSize(1500, 1450) },
      ...{ tunnel: { skipped: 'no address' }, tcp: null },
    },
  ],
} as unknown as PairFacts;

test('the proof of the machines gives a line for each direction; nodes and a site that is only rendered give none', () => {
  const results = [
    { facts: { kind: 'node' }, findings: [] },
    {},
    { facts: pair, findings: [] },
  ] as unknown as ProofResult[];
  expect(pathsBefore(results)).toEqual([
    { from: 'one', to: 'two', family: 'ipv4', underlay: size(1500), tunnel: size(1450), megabytesPerSecond: 80 },
    { from: 'two', to: 'one', family: 'ipv4', underlay: size(1500, 1450), tunnel: null, megabytesPerSecond: null },
  ]);
});

test('the layers stand beside each other in one table', () => {
  const found = facts();
  found.paths = pathsBefore([{ facts: pair, findings: [] }]).map(({ from, to, family, ...layers }) => ({
    ...{ from, to, family, before: layers, now: from === 'one' ? null : size(1500) },
  }));
  const words = renderClusterProbe({ facts: found, findings: [] }, { color: false })
    .split('\n')
    .map((line) => line.trim().replace(/ {2,}/g, ' | '));
  expect(words).toContain('one | two | ipv4 | 1500 ok | 1450 ok | - | 1500 ok | 80.0 MB/s | 16.8 MB/s');
  expect(words).toContain('two | one | ipv4 | 1450 of 1500 | - | 1500 ok | 1500 ok | - | 16.8 MB/s');
});
