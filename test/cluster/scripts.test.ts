import { parseAllDocuments } from 'yaml';
import { renderLeaveScript, renderResetScript, renderStepDownScript } from '../../components/cluster/leaveScripts';
import { renderControlPlaneScript, renderInviteScript, renderJoinScript } from '../../components/cluster/nodeScripts';
import { neededArtifacts, renderRuntimeScript } from '../../components/cluster/runtimeScript';
import { renderClusterRemoveScript } from '../../components/cluster/removeScript';
import { renderUpgradeLeadScript, renderUpgradeNodeScript } from '../../components/cluster/upgradeScripts';
import {
  bundle,
  cluster,
  controlPlane,
  pki,
  runtime,
  secondControlPlane,
  secondControlPlaneNode,
  upgrade,
  worker,
} from './fixtures';
import { expectGolden } from './golden';
import { describeScripts } from '../support/bashScripts';

const leaving = { node: 'cp3', addresses: ['192.0.2.13', '2001:db8::13'], drainLimitSeconds: 600, limitSeconds: 900 };
const TOKEN = 'abcdef.0123456789abcdef';
const scripts: [name: string, text: string][] = [
  ['runtime.sh', renderRuntimeScript(runtime)],
  ['control-plane.sh', renderControlPlaneScript(controlPlane)],
  ['join.sh', renderJoinScript(worker, TOKEN)],
  ['join-control-plane.sh', renderJoinScript(secondControlPlane, TOKEN)],
  ['invite.sh', renderInviteScript(worker, 'invite')],
  ['leave.sh', renderLeaveScript(leaving, 'drain')],
  ['step-down.sh', renderStepDownScript(leaving, { address: '192.0.2.10' })],
  ['reset.sh', renderResetScript(leaving)],
  ['upgrade-node.sh', renderUpgradeNodeScript(upgrade.cp1, 'move')],
  [
    'upgrade-lead.sh',
    renderUpgradeLeadScript({ lead: upgrade.cp1, action: 'gate', node: 'w1', members: ['cp1', 'w1'], busy: ['w1'] }),
  ],
  ['remove.sh', renderClusterRemoveScript('oslo', ['/usr/local/bin/kubelet'])],
];
describeScripts(scripts, expectGolden);

test.each(scripts.filter(([, text]) => text.includes('main()')))(
  '%s runs nothing before the whole of it has arrived',
  (_, text) => {
    expect(text.trimEnd().split('\n').at(-1)).toBe('main </dev/null');
    // What a script writes into a file is no part of it.
    const own = text.replace(/<<'(END_OF_\w+)'\n[^]*?\n\1\n/g, '\n');
    expect(own.split('\n').filter((line) => line.startsWith('main '))).toHaveLength(1);
  },
);

test('a worker takes no image of the control plane', () => {
  const names = (part: 'init' | 'join-worker') =>
    neededArtifacts({ cluster, bundle, part }).images.map(({ artifact }) => artifact.path);
  expect(names('join-worker')).toEqual(['images/kube-proxy.tar', 'images/coredns.tar', 'images/pause.tar']);
  expect(names('init')).toHaveLength(7);
});

test('a node that joined makes its static pods by what it would have begun the cluster by', () => {
  const text = renderControlPlaneScript({ ...controlPlane, node: 'cp2', nodeCluster: secondControlPlaneNode });
  const [documents] = /(?<=<<'END_OF_KUBEADM_CONFIG'\n)[^]*?(?=END_OF_KUBEADM_CONFIG)/.exec(text)!;
  expect(parseAllDocuments(documents).map((document) => document.toJS() as object)[0]).toEqual({
    apiVersion: 'kubeadm.k8s.io/v1beta4',
    kind: 'InitConfiguration',
    localAPIEndpoint: { advertiseAddress: '192.0.2.12', bindPort: 6443 },
    nodeRegistration: { name: 'cp2', criSocket: 'unix:///run/containerd/containerd.sock' },
  });
});

test('a copy of the bundle is read where it lies', () => {
  const text = renderRuntimeScript({ ...runtime, bundlePlace: { directory: '/var/lib/sitewright/bundles/b1' } });
  expect(text).toContain("BUNDLE_DEVICE=''\nBUNDLE_FOLDER='/var/lib/sitewright/bundles/b1'\n");
});

test('what a worker runs holds no key of the cluster, and the token only where it is asked to join', () => {
  for (const text of [renderJoinScript(worker, TOKEN), renderInviteScript(worker, 'invite')])
    for (const secret of [pki.ca.privateKey, pki.serviceAccount.privateKey, pki.encryptionKeys[0].secret])
      expect(text).not.toContain(secret.trim());
  expect(renderJoinScript(worker, null)).not.toContain(TOKEN);
  expect(renderJoinScript(worker, TOKEN).match(new RegExp(TOKEN, 'g'))).toHaveLength(1);
});

test('before a node is drained only the programs come that move it, and no key of the cluster is in a request', () => {
  for (const settings of [upgrade.cp1, upgrade.w1]) {
    const programs = Object.fromEntries(settings.bundle).PROGRAMS as string[];
    expect(programs.map((entry) => entry.split('/').at(-1))).toEqual(['kubeadm']);
    for (const secret of [pki.ca.privateKey, pki.encryptionKeys[0].secret])
      expect(JSON.stringify(settings)).not.toContain(secret.trim());
  }
  expect(upgrade.w1.files).toBeNull();
});

test('what is planned for the API server decides whether its certificate is signed again', () => {
  const sums = (certSANs: string[], more = {}) => {
    const clusterConfiguration = { ...cluster.kubeadm.clusterConfiguration, apiServer: { certSANs, ...more } };
    const text = renderControlPlaneScript({
      ...controlPlane,
      cluster: { ...cluster, kubeadm: { ...cluster.kubeadm, clusterConfiguration } },
    });
    return ['SERVING_CERTIFICATE_SUM', 'CONTROL_PLANE_SUM'].map(
      (name) => new RegExp(`^${name}='(.*)'$`, 'm').exec(text)![1],
    );
  };
  const [certificate, configuration] = sums(['a']);
  expect(sums(['a'], { extraArgs: [] })).toEqual([certificate, expect.not.stringMatching(configuration!)]);
  expect(sums(['b'])).toEqual([expect.not.stringMatching(certificate!), expect.not.stringMatching(configuration!)]);
});
