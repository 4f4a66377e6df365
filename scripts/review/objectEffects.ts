import { needsNewObject } from '../plugins/kubernetes/replaces';
import type { KubeObject } from '../plugins/kubernetes/objects';
import type { RenderDocument } from '../render/document';
import type { SingleEffect } from './effects';
import { changedPaths, valueDiff } from './lines';

/** As the kit's own provider is set (components/addons/cluster.ts). */
const SETTINGS = {
  namespace: 'default',
  enableConfigMapMutable: true,
  enableSecretMutable: true,
  enablePatchForce: true,
  upsertExistingObjects: true,
  deleteUnreachable: false,
  suppressDeprecationWarnings: false,
};

/** Objects of Kubernetes that come, go or change. A new cluster has all of them new, which the machines tell. */
export function objectEffects(before: RenderDocument, after: RenderDocument): SingleEffect[] {
  if (before.plan.cluster === null || after.plan.cluster === null) return [];
  const keys = [...new Set([...Object.keys(after.objects), ...Object.keys(before.objects)])];
  return keys.flatMap((key): SingleEffect[] => {
    const [old, made] = [before.objects[key], after.objects[key]] as (KubeObject | undefined)[];
    if (JSON.stringify(old) === JSON.stringify(made)) return [];
    if (old === undefined) return [effect(key, 'new', 'in place', 'it is made', [])];
    if (made === undefined) return [effect(key, 'gone', 'deletion', 'it is deleted', [])];
    return [{ ...changed(key, old, made), lines: valueDiff(old, made) }];
  });
}

const effect = (
  what: string,
  change: SingleEffect['change'],
  impact: SingleEffect['impact'],
  why: string,
  lines: string[],
): SingleEffect => ({ machine: null, what, change, impact, why, lines });

const RUNS_PODS = ['DaemonSet', 'Deployment', 'StatefulSet'];

function changed(key: string, old: KubeObject, made: KubeObject): SingleEffect {
  const { impact, why } = changeOfObject(made, changedPaths(old, made));
  return effect(key, 'changed', impact, why, []);
}

/** What a change of these fields of an object does. */
export function changeOfObject(made: KubeObject, paths: readonly string[]): Pick<SingleEffect, 'impact' | 'why'> {
  const { apiVersion, kind } = made as { apiVersion: string; kind: string };
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const type = { group: group!, version: version!, kind, isPatch: false };
  if (paths.some((path) => needsNewObject(type, path, made, SETTINGS)))
    return { impact: 'replacement', why: 'a field of it cannot be changed: it is made anew' };
  if (RUNS_PODS.includes(kind) && paths.some((path) => path.startsWith('spec.template')))
    return { impact: 'restart', why: 'its pods are made anew, a few at a time' };
  return { impact: 'in place', why: 'it is changed in the cluster' };
}
