import { nameOf } from './resources';
import type { SiteStack } from './stack';

interface ExportedState {
  deployment?: { pending_operations?: { type: string; resource: { urn: string } }[] };
}

/**
 * Forgets what a killed run was in the middle of, and returns the names of those resources. Safe here and not in
 * general: every resource of a site is a script that completes what it finds half-made, so doing it again is right.
 */
export async function clearPendingOperations(stack: SiteStack): Promise<string[]> {
  const exported = JSON.parse(await stack.exportState()) as ExportedState;
  const pending = exported.deployment?.pending_operations ?? [];
  if (pending.length === 0) return [];
  delete exported.deployment!.pending_operations;
  await stack.importState(JSON.stringify(exported));
  return [...new Set(pending.map((operation) => nameOf(operation.resource.urn)))];
}
