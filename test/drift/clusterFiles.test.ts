import { renderControlPlaneScript, staticPodFiles } from '../../components/cluster/nodeScripts';
import { controlPlaneFiles } from '../../components/drift/clusterFiles';
import { renderDriftScript } from '../../components/drift/nodeScript';
import { controlPlane } from '../cluster/fixtures';
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
