import { X509Certificate } from 'node:crypto';

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g;

/**
 * What a text holds that is no certificate in PEM, or with `authorities` no certificate of an authority; null: nothing of
 * the kind. Never repeats the text, because a key could have been pasted there.
 */
export function certificatesProblem(text: string, wanted: 'certificates' | 'authorities'): string | null {
  const blocks = [...text.matchAll(BLOCK)];
  if (blocks.length === 0 || text.replace(BLOCK, '').trim() !== '') return 'what is no certificate';
  const problems = blocks.map(([block, kind]) => blockProblem(block, kind, wanted));
  return problems.find((problem) => problem !== null) ?? null;
}

function blockProblem(block: string, kind: string, wanted: 'certificates' | 'authorities'): string | null {
  if (kind.includes('PRIVATE KEY')) return 'a private key, which is then known to everybody who reads this file';
  if (kind !== 'CERTIFICATE') return `a ${kind}`;
  try {
    const { ca } = new X509Certificate(block);
    return wanted === 'certificates' || ca ? null : 'a certificate that is no authority';
  } catch {
    return 'a certificate that cannot be read';
  }
}
