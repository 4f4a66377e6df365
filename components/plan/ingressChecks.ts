import { X509Certificate } from 'node:crypto';
import type { SiteSpec } from '../spec/schema';
import { durationToMilliseconds } from '../spec/units';
import type { Findings } from './findings';
import { tuningProblems } from './ingressTuning';
import { parseIp } from './ip';

/** What of `ingress.tuning` no controller would take, or would take and not mean. */
export function checkIngressTuning({ tuning }: NonNullable<SiteSpec['ingress']>, findings: Findings): void {
  const path = ['ingress', 'tuning'];
  for (const { key, given, message } of tuningProblems(tuning)) findings.error([...path, key], given, message);
  const { connectTimeout, proxyProtocol, realIpRanges } = tuning;
  if (connectTimeout !== undefined && durationToMilliseconds(connectTimeout) > 75_000) {
    findings.warning(
      [...path, 'connectTimeout'],
      connectTimeout,
      `${connectTimeout} is more than NGINX usually waits for a connection: 75s`,
    );
  }
  if (proxyProtocol && realIpRanges.length === 0) {
    findings.error(
      [...path, 'realIpRanges'],
      undefined,
      'proxyProtocol needs the networks of the load balancers that write the header: without them NGINX would believe nobody, or everybody',
    );
  }
  realIpRanges.forEach((text, index) => {
    const { network, value } = parseIp(text);
    const at = [...path, 'realIpRanges', index];
    if (network.prefix === 0)
      findings.error(
        at,
        text,
        `${text} is everybody: any client could claim any address; name the networks of the load balancers`,
      );
    else if (value !== network.first) findings.error(at, text, `${text} has host bits set: write ${network.text}`);
  });
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g;

/** A chain of certificates; what is given is never repeated, because a key could have been pasted there. */
export function checkIngressCertificate({ certificate }: NonNullable<SiteSpec['ingress']>, findings: Findings): void {
  if (certificate === undefined) return;
  const blocks = [...certificate.matchAll(BLOCK)];
  const isEmpty = blocks.length === 0 || certificate.replace(BLOCK, '').trim() !== '';
  const wrong = isEmpty
    ? 'what is no certificate'
    : blocks.map(([block, kind]) => problemOf(block, kind)).find(Boolean);
  if (wrong === undefined) return;
  findings.error(
    ['ingress', 'certificate'],
    undefined,
    `it holds ${wrong}: allowed are certificates in PEM, that of the hosts first; its key is given by sitewright secrets set`,
  );
}

function problemOf(block: string, kind: string): string | undefined {
  if (kind.includes('PRIVATE KEY')) return 'a private key, which is then known to everybody who reads this file';
  if (kind !== 'CERTIFICATE') return `a ${kind}`;
  try {
    new X509Certificate(block);
    return undefined;
  } catch {
    return 'a certificate that cannot be read';
  }
}
