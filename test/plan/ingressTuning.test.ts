import { ingressAnnotations, ingressConfig, type IngressTuning } from '../../components/plan/ingressTuning';

const TUNING: IngressTuning = {
  ...{ bodySize: '50m', connectTimeout: '15s', readTimeout: '10m', sendTimeout: '600s' },
  ...{ buffering: false, buffers: { size: '8k' } },
};
const NOBODY = { proxyProtocol: false, realIpRanges: [] };

/** As their own sources have them: what F5's calls a time, and what ingress-nginx refuses in any other form. */
test('annotations in the form of each controller', () => {
  expect(ingressAnnotations(TUNING, 'nginx')).toEqual({
    'nginx.org/client-max-body-size': '50m',
    'nginx.org/proxy-connect-timeout': '15s',
    'nginx.org/proxy-read-timeout': '600s',
    'nginx.org/proxy-send-timeout': '600s',
    'nginx.org/proxy-buffering': 'false',
    'nginx.org/proxy-buffers': '4 8k',
    'nginx.org/proxy-buffer-size': '8k',
  });
  expect(ingressAnnotations(TUNING, 'ingress-nginx')).toEqual({
    'nginx.ingress.kubernetes.io/proxy-body-size': '50m',
    'nginx.ingress.kubernetes.io/proxy-connect-timeout': '15',
    'nginx.ingress.kubernetes.io/proxy-read-timeout': '600',
    'nginx.ingress.kubernetes.io/proxy-send-timeout': '600',
    'nginx.ingress.kubernetes.io/proxy-buffering': 'off',
    'nginx.ingress.kubernetes.io/proxy-buffers-number': '4',
    'nginx.ingress.kubernetes.io/proxy-buffer-size': '8k',
  });
});

test('what is not asked for is not there', () => {
  expect(ingressAnnotations({}, 'nginx')).toEqual({});
  expect(ingressAnnotations({ bodySize: '0' }, 'ingress-nginx')).toEqual({
    'nginx.ingress.kubernetes.io/proxy-body-size': '0',
  });
  expect(ingressConfig(NOBODY, 'nginx')).toEqual({});
});

test('the ConfigMap has the same without prefix', () => {
  for (const controller of ['nginx', 'ingress-nginx'] as const) {
    const bare = Object.entries(ingressAnnotations(TUNING, controller)).map(([key, value]) => [
      key.split('/')[1],
      value,
    ]);
    expect(ingressConfig({ ...TUNING, ...NOBODY }, controller)).toEqual(Object.fromEntries(bare));
  }
});

test.each([
  ['nginx', false, { 'real-ip-header': 'X-Forwarded-For' }],
  ['nginx', true, { 'real-ip-header': 'proxy_protocol', 'proxy-protocol': 'true' }],
] as const)("the client's address for %s, PROXY protocol: %s", (controller, proxyProtocol, more) => {
  const realIpRanges = ['192.0.2.0/24', '2001:db8::/48'];
  expect(ingressConfig({ proxyProtocol, realIpRanges }, controller)).toEqual({
    ...{ 'real-ip-recursive': 'true', 'set-real-ip-from': '192.0.2.0/24,2001:db8::/48' },
    ...more,
  });
});

test.each([
  [false, { 'enable-real-ip': 'true' }],
  [true, { 'use-proxy-protocol': 'true' }],
])("the client's address for ingress-nginx, PROXY protocol: %s", (proxyProtocol, more) => {
  const config = ingressConfig({ proxyProtocol, realIpRanges: ['192.0.2.0/24'] }, 'ingress-nginx');
  expect(config).toEqual({ 'proxy-real-ip-cidr': '192.0.2.0/24', ...more });
});

test('everything that NGINX would not take is told at once', () => {
  expect(() =>
    ingressAnnotations(
      {
        bodySize: '50MB',
        connectTimeout: '1500ms',
        readTimeout: '0s',
        sendTimeout: '15',
        buffers: { size: '1g', count: 2 },
      },
      'nginx',
    ),
  ).toThrow(
    new RangeError(
      [
        'bodySize: 50MB is no size of NGINX: write a whole number and k, m or g, such as 50m, or 0 for any',
        'connectTimeout: 1500ms is not a whole number of seconds above 0: write 2s',
        'readTimeout: 0s is not a whole number of seconds above 0: write 1s',
        'sendTimeout: 15 is no duration: write a number and s, m or h, such as 15s',
        'buffers: 1g is no size of a buffer: write a whole number and k or m, such as 8k',
        'buffers: 2 buffers are too few: NGINX sends from two while it fills another, so at least 3',
      ].join('; '),
    ),
  );
});
