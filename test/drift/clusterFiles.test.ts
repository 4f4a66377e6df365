import { renderControlPlaneScript, staticPodFiles } from '../../components/cluster/nodeScripts';
import { renderRuntimeScript } from '../../components/cluster/runtimeScript';
import { controlPlaneFiles, runtimeFiles } from '../../components/drift/clusterFiles';
import { renderDriftScript } from '../../components/drift/nodeScript';
import { takeApart, writtenFiles } from '../../scripts/render/scriptParts';
import { controlPlane, runtime } from '../cluster/fixtures';
import { clusterSite } from '../plan/clusterSite';
import { planOf } from '../plan/site';

const plan = planOf({ ...clusterSite(), environment: 'lab' });
const [node] = plan.nodes;

/** What drift holds a node against is what the script of the control plane leaves there. */

test.each(['CONTROL_PLANE_SUM', 'KUBELET_CONFIG_SUM'])('%s is the one that the control plane remembers', (name) => {
  const sumIn = (script: string) => new RegExp(`^${name}='([0-9a-f]{64})'$`, 'm').exec(script)![1];
  const script = renderControlPlaneScript({ ...controlPlane, cluster: plan.cluster!, nodeCluster: node!.cluster! });
  expect(sumIn(renderDriftScript(node!, plan))).toBe(sumIn(script));
});

test('patches of static pods are among the files', () => {
  const { patches } = staticPodFiles(plan.cluster!);
  expect(patches).toHaveLength(4);
  expect(controlPlaneFiles(plan.cluster!, node!.cluster!)).toEqual(expect.arrayContaining(patches));
});

test('files of the runtime are those that its script writes, path by path', () => {
  const { values, ...rest } = takeApart(renderRuntimeScript(runtime));
  // Log-ins are secrets, and drift looks at none.
  const written = writtenFiles({ values, ...rest })
    .filter(({ mode, variable }) => mode !== '0600' && values[variable] !== '')
    .map(({ path, variable }) => [path, values[variable]]);
  // Files of registries are written in a loop.
  const planned = runtimeFiles(
    { ...runtime.cluster, registries: [] },
    { ...controlPlane.nodeCluster, cniConfiguration: runtime.cniConfiguration },
  );
  expect(planned.length).toBeGreaterThan(5);
  expect([...planned].sort()).toEqual([...written].sort());
});
