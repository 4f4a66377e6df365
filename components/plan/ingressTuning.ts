import { DURATION_PATTERN, durationToMilliseconds } from '../spec/units';

/** How NGINX treats requests: one model for both controllers, in the form of value that each of them takes. */

export type IngressController = 'nginx' | 'ingress-nginx';

/** What is left out stays as the controller has it. */
export interface IngressTuning {
  /** Largest body of a request, such as `50m`; `0`: any. Default of both controllers: 1m. */
  bodySize?: string;
  /** Time for a connection to a pod, in whole seconds, such as `15s`. Default: 60s (nginx), 5s (ingress-nginx). */
  connectTimeout?: string;
  /** Most time between two parts of a pod's answer, in whole seconds, such as `600s`. Default of both: 60s. */
  readTimeout?: string;
  /** Most time between two parts of a request that a pod takes, in whole seconds. Default of both: 60s. */
  sendTimeout?: string;
  /** Whether answers of pods are read ahead of the client. Default: yes (nginx), no (ingress-nginx). */
  buffering?: boolean;
  /** Buffers of one answer; the first of them takes its headers. Default: NGINX's (nginx), 4 of 4k (ingress-nginx). */
  buffers?: {
    /** At least 3: NGINX sends from two while it fills another. Default 4. */
    count?: number;
    /** Such as `8k`. */
    size: string;
  };
}

/** For all requests, because it is decided before one is read. */
export interface IngressListenerTuning {
  /** Connections begin with a PROXY protocol header: they come from a load balancer that writes it. */
  proxyProtocol: boolean;
  /** Networks whose word for the client's address is taken. */
  realIpRanges: readonly string[];
}

/** `50m`: NGINX's own notation, where an offset may have a g and a size may not. */
export const OFFSET_PATTERN = /^(0|[1-9][0-9]*[kmg])$/;
export const BUFFER_PATTERN = /^[1-9][0-9]*[km]$/;
/** NGINX refuses a configuration whose two busy buffers are more than all but one. */
export const LEAST_BUFFERS = 3;
const BUFFERS = 4;

export interface TuningProblem {
  key: keyof IngressTuning;
  given: unknown;
  message: string;
}

const TIMEOUTS = ['connectTimeout', 'readTimeout', 'sendTimeout'] as const;

/** Everything that no NGINX would take; the schema of site files has found what is no size or duration at all. */
export function tuningProblems(tuning: IngressTuning): TuningProblem[] {
  const { bodySize, buffers } = tuning;
  const problems: TuningProblem[] = [];
  const add = (key: keyof IngressTuning, message: string) => void problems.push({ key, given: tuning[key], message });
  if (bodySize !== undefined && !OFFSET_PATTERN.test(bodySize))
    add('bodySize', `${bodySize} is no size of NGINX: write a whole number and k, m or g, such as 50m, or 0 for any`);
  for (const key of TIMEOUTS) {
    const value = tuning[key];
    if (value === undefined) continue;
    const milliseconds = DURATION_PATTERN.test(value) ? durationToMilliseconds(value) : NaN;
    if (Number.isNaN(milliseconds)) add(key, `${value} is no duration: write a number and s, m or h, such as 15s`);
    else if (milliseconds % 1000 !== 0 || milliseconds === 0)
      add(
        key,
        `${value} is not a whole number of seconds above 0: write ${Math.max(1, Math.ceil(milliseconds / 1000))}s`,
      );
  }
  if (buffers === undefined) return problems;
  const { count = BUFFERS, size } = buffers;
  if (!BUFFER_PATTERN.test(size))
    add('buffers', `${size} is no size of a buffer: write a whole number and k or m, such as 8k`);
  if (!Number.isInteger(count) || count < LEAST_BUFFERS)
    add(
      'buffers',
      `${count} buffers are too few: NGINX sends from two while it fills another, so at least ${LEAST_BUFFERS}`,
    );
  return problems;
}

/** Names of one setting, and its value as text, by controller. */
interface Setting {
  nginx: Record<string, string>;
  'ingress-nginx': Record<string, string>;
}

const seconds = (duration: string) => durationToMilliseconds(duration) / 1000;

/** F5's takes a duration, ingress-nginx a bare number of seconds, and refuses anything else in an annotation. */
const timeout = (key: string, duration: string): Setting => ({
  nginx: { [key]: `${seconds(duration)}s` },
  'ingress-nginx': { [key]: `${seconds(duration)}` },
});

function settings({ bodySize, connectTimeout, readTimeout, sendTimeout, buffering, buffers }: IngressTuning) {
  const all: Setting[] = [];
  if (bodySize !== undefined)
    all.push({ nginx: { 'client-max-body-size': bodySize }, 'ingress-nginx': { 'proxy-body-size': bodySize } });
  if (connectTimeout !== undefined) all.push(timeout('proxy-connect-timeout', connectTimeout));
  if (readTimeout !== undefined) all.push(timeout('proxy-read-timeout', readTimeout));
  if (sendTimeout !== undefined) all.push(timeout('proxy-send-timeout', sendTimeout));
  if (buffering !== undefined)
    all.push({
      nginx: { 'proxy-buffering': `${buffering}` },
      'ingress-nginx': { 'proxy-buffering': buffering ? 'on' : 'off' },
    });
  if (buffers !== undefined) {
    const { count = BUFFERS, size } = buffers;
    all.push({
      // Together: the buffer of the headers alone would outgrow the others, which NGINX refuses.
      nginx: { 'proxy-buffers': `${count} ${size}`, 'proxy-buffer-size': size },
      'ingress-nginx': { 'proxy-buffers-number': `${count}`, 'proxy-buffer-size': size },
    });
  }
  return all;
}

const of = (controller: IngressController, tuning: IngressTuning): Record<string, string> =>
  Object.assign({}, ...settings(tuning).map((setting) => setting[controller])) as Record<string, string>;

const PREFIX: Record<IngressController, string> = {
  nginx: 'nginx.org/',
  'ingress-nginx': 'nginx.ingress.kubernetes.io/',
};

/**
 * The annotations of an Ingress of any program, for the requests of that Ingress alone:
 *
 *     metadata: { annotations: ingressAnnotations({ bodySize: '50m', readTimeout: '600s' }, 'nginx') },
 *     spec: { ingressClassName: 'nginx', rules: [{ http: { paths: [{ path: '/', pathType: 'Prefix', ... }] } }] }
 *
 * Throws RangeError with everything that the controller would not take.
 */
export function ingressAnnotations(tuning: IngressTuning, controller: IngressController): Record<string, string> {
  const problems = tuningProblems(tuning);
  if (problems.length > 0) throw new RangeError(problems.map(({ key, message }) => `${key}: ${message}`).join('; '));
  const entries = Object.entries(of(controller, tuning));
  return Object.fromEntries(entries.map(([key, value]) => [`${PREFIX[controller]}${key}`, value]));
}

/** Keys of the controller's ConfigMap, for the requests of every Ingress. */
export function ingressConfig(
  { proxyProtocol, realIpRanges, ...tuning }: IngressTuning & IngressListenerTuning,
  controller: IngressController,
): Record<string, string> {
  return { ...of(controller, tuning), ...clientAddress({ proxyProtocol, realIpRanges }, controller) };
}

/**
 * Where the client's address is from. ingress-nginx believes everybody unless it has a list, and `use-forwarded-headers`
 * would take the client's word for host and protocol too, list or not.
 */
function clientAddress(
  { proxyProtocol, realIpRanges }: IngressListenerTuning,
  controller: IngressController,
): Record<string, string> {
  if (realIpRanges.length === 0) return {};
  const ranges = realIpRanges.join(',');
  if (controller === 'ingress-nginx')
    return { [proxyProtocol ? 'use-proxy-protocol' : 'enable-real-ip']: 'true', 'proxy-real-ip-cidr': ranges };
  return {
    ...(proxyProtocol ? { 'proxy-protocol': 'true' } : {}),
    'real-ip-header': proxyProtocol ? 'proxy_protocol' : 'X-Forwarded-For',
    'real-ip-recursive': 'true',
    'set-real-ip-from': ranges,
  };
}
