import type { SiteSpec } from '../spec/schema';
import { durationToMilliseconds } from '../spec/units';
import type { Findings } from './findings';
import { tuningProblems } from './ingressTuning';
import { parseIp } from './ip';
import { certificatesProblem } from './pem';

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

/** A chain of certificates; what is given is never repeated, because a key could have been pasted there. */
export function checkIngressCertificate({ certificate }: NonNullable<SiteSpec['ingress']>, findings: Findings): void {
  if (certificate === undefined) return;
  const wrong = certificatesProblem(certificate, 'certificates');
  if (wrong === null) return;
  findings.error(
    ['ingress', 'certificate'],
    undefined,
    `it holds ${wrong}: allowed are certificates in PEM, that of the hosts first; its key is given by sitewright secrets set`,
  );
}
