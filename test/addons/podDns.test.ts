import { patchExpression } from '../../components/addons/podDns';
import { clusterPlan, named, recordAddons } from './fixtures';

test('the patch in the words of CEL', () => {
  expect(patchExpression(clusterPlan.dns.pods!.config)).toBe(
    '[JSONPatch{op: "add", path: "/spec/dnsConfig", value: Object.spec.dnsConfig{options: [' +
      'Object.spec.dnsConfig.options{name: "ndots", value: "2"}, Object.spec.dnsConfig.options{name: "single-request-reopen"}], ' +
      'searches: ["corp.example"]}}]',
  );
  expect(patchExpression({ options: [{ name: 'ndots', value: '2' }] })).not.toContain('searches');
  expect(patchExpression({ options: [], searches: ['corp.example'] })).not.toContain('options');
});

test('only new pods of the chosen namespaces, never those of the cluster itself', async () => {
  const { inputs } = named(await recordAddons(clusterPlan), 'pod-dns-policy');
  expect(inputs.spec).toMatchObject({
    failurePolicy: 'Ignore',
    matchConstraints: {
      namespaceSelector: {
        matchLabels: { dns: 'site' },
        matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system'] }],
      },
      resourceRules: [{ operations: ['CREATE'], resources: ['pods'] }],
    },
  });
  const binding = named(await recordAddons(clusterPlan), 'pod-dns-binding');
  expect(binding.inputs.spec).toEqual({ policyName: (inputs.metadata as { name: string }).name });
});

test('a site that asks for nothing has no policy', async () => {
  const without = { ...clusterPlan, dns: { ...clusterPlan.dns, pods: null } };
  const names = (await recordAddons(without)).map(({ name }) => name);
  expect(names.filter((name) => name.includes('pod-dns'))).toEqual([]);
});
