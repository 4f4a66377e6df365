import { podDnsConfig } from '../../components/plan/podDns';
import { compute, controlPlane, kvmSite, siteOf } from './site';

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

describe('dns.pods of a site', () => {
  const planned = (pods: object, version = '1.36.1') =>
    compute(siteOf('v4', 1, { kubernetes: { version }, dns: { pods } }));

  test('is the same configuration, for namespaces by their labels', () => {
    const { plan } = planned({ ndots: 2, namespaces: { 'acme.example/dns': 'site' } });
    expect(plan!.cluster!.dns.pods).toEqual({
      config: podDnsConfig({ ndots: 2 }),
      namespaceLabels: { 'acme.example/dns': 'site' },
    });
  });

  test('is nothing unless the site asks for it', () => {
    const { plan } = compute(siteOf('v4', 1, { kubernetes: { version: '1.36.1' } }));
    expect(plan!.cluster!.dns.pods).toBeNull();
  });

  test.each([
    [{ singleRequestReopen: false }, '1.36.1', /^it sets nothing: set ndots/],
    [{ ndots: 2 }, '1.35.4', /from Kubernetes 1\.36\.0 on, and this is 1\.35\.4: take dns\.pods out/],
    [{ searches: Array(29).fill(`${'a'.repeat(60)}.example`) }, '1.36.1', /have more than 1289 characters/],
  ])('%j with %s is refused', (pods, version, message) => {
    const errors = planned(pods, version).findings.filter(({ severity }) => severity === 'error');
    expect(errors.map(({ path, message: text }) => [path, text])).toEqual([
      [['dns', 'pods'], expect.stringMatching(message)],
    ]);
  });
});

test('machines of the kit without a resolver: CoreDNS is not told to read an empty list, with which it does not start', () => {
  const { plan } = compute(kvmSite([controlPlane], {}, { kubernetes: { version: '1.36.1' } }));
  const { corefile, nodeLocal } = plan!.cluster!.dns;
  expect([corefile, nodeLocal!.corefile].join('')).not.toContain('resolv.conf');
  expect(nodeLocal!.corefile).not.toContain('\n.:53');
  const own = compute(siteOf('v4', 1, { kubernetes: { version: '1.36.1' } })).plan!.cluster!.dns;
  expect(own.corefile).toContain('forward . /etc/resolv.conf');
});
