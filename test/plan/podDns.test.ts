import { podDnsConfig } from '../../components/plan/podDns';

test('options are text, and what is not asked for is not there', () => {
  expect(podDnsConfig({ ndots: 2, singleRequestReopen: true, searches: ['corp.example'] })).toEqual({
    options: [{ name: 'ndots', value: '2' }, { name: 'single-request-reopen' }],
    searches: ['corp.example'],
  });
  expect(podDnsConfig({ ndots: 0 })).toEqual({ options: [{ name: 'ndots', value: '0' }] });
});

test('everything that a pod could not have is told at once', () => {
  const searches = Array.from({ length: 30 }, (_, index) => `${index}.${'a'.repeat(60)}.example`);
  expect(() => podDnsConfig({ ndots: 16, searches })).toThrow(
    /^ndots is 16: .*; 30 search domains: at most 29 .*; the search domains have more than 1289 characters/,
  );
  expect(() => podDnsConfig({ ndots: 1.5 })).toThrow(RangeError);
  expect(() => podDnsConfig({ ndots: 15, searches: searches.slice(0, 15) })).not.toThrow();
});
