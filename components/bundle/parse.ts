import { z } from 'zod';
import { LOCK_SCHEMA_VERSION, type BundleLock } from './lock';

/** Programs read these paths below a folder of their own: nothing in a lock may lead out of it. */
const path = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._+-]*(\/[A-Za-z0-9][A-Za-z0-9._+-]*)+$/,
    'a path below the bundle, such as bin/kubeadm, with letters, digits, dots, dashes, underscores and plus signs',
  );

const artifact = z.strictObject({
  path,
  kind: z.enum(['binary', 'cni-plugin', 'image', 'manifest', 'package', 'package-index']),
  component: z.string().min(1),
  version: z.string().min(1),
  source: z.string().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits in lower case'),
  sizeBytes: z.int().nonnegative(),
  licence: z.string().min(1),
  reference: z.string().min(1).optional(),
  architecture: z.string().min(1).optional(),
});

const schema = z.strictObject({
  schemaVersion: z.literal(LOCK_SCHEMA_VERSION),
  name: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, 'lower-case letters, digits, dots and dashes'),
  from: z.enum(['source', 'upstream']),
  artifacts: z.array(artifact),
});

/** A bundle or a lock that cannot be used, with every reason and what to do. A message for a person; exit code 1. */
export class BundleError extends Error {
  readonly exitCode = 1;

  constructor(message: string) {
    super(message);
    this.name = 'BundleError';
  }
}

/**
 * Reads a lock and checks everything in it.
 * @param where file name for messages
 * @throws BundleError with every problem at once
 */
export function parseLock(text: string, where: string): BundleLock {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BundleError(`${where} is not JSON: ${(error as Error).message}`);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (issue) => `${where}: ${issue.path.join('.') || 'lock'}: ${issue.message}`,
    );
    throw new BundleError(problems.join('\n'));
  }
  const lock = parsed.data;
  const problems: string[] = [];
  lock.artifacts.forEach(({ path, kind, reference, architecture }, index) => {
    const before = lock.artifacts[index - 1]?.path;
    if (before !== undefined && before >= path) {
      problems.push(`${where}: ${path} comes after ${before}: each path once, sorted`);
    }
    if ((kind === 'image') !== (reference !== undefined)) {
      problems.push(`${where}: ${path}: an image has a reference, and nothing else has one`);
    }
    if ((kind === 'package') !== (architecture !== undefined)) {
      problems.push(`${where}: ${path}: a package has an architecture, and nothing else has one`);
    }
  });
  if (problems.length > 0) throw new BundleError(problems.join('\n'));
  return lock;
}

/** The text of a lock file: what the id of a bundle is the checksum of, so one lock has one text. */
export function lockText(lock: BundleLock): string {
  const artifacts = [...lock.artifacts]
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, kind, component, version, source, sha256, sizeBytes, licence, reference, architecture }) => ({
      ...{ path, kind, component, version, source, sha256, sizeBytes, licence },
      ...(reference === undefined ? {} : { reference }),
      ...(architecture === undefined ? {} : { architecture }),
    }));
  const { schemaVersion, name, from } = lock;
  return `${JSON.stringify({ schemaVersion, name, from, artifacts }, null, 2)}\n`;
}
