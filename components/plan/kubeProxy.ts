import type { SiteSpec } from '../spec/schema';
import type { AddressPlan, SpecPath } from './types';
import type { KubeProxyPlan } from './clusterTypes';
import { proxyConntrack } from './conntrack';
import type { Findings } from './findings';
import { BITS, parseIp } from './ip';
import { seconds, wholeSeconds } from './kubeValues';
import { refuseHostBits } from './subnets';
import { proxyGate } from './versions';

/** How often all rules are written again, whatever changed; kube-proxy's own default. */
const SYNC_PERIOD = '30s';
/**
 * kube-proxy calls itself unhealthy, and is restarted, when a change is not written within twice this time. An emulated
 * node that starts several pods at once was seen to need more than a minute.
 */
const EMULATION_SYNC_PERIOD = '3m0s';

/** The whole KubeProxyConfiguration of the cluster: nothing is left to a default of another version. */
export function planKubeProxy(
  spec: SiteSpec,
  version: string,
  address: AddressPlan,
  findings: Findings,
): KubeProxyPlan {
  const { mode, scheduler, strictARP, conntrack } = spec.kubeProxy;
  const { featureGates, problem } = proxyGate(mode, version);
  const path: SpecPath = ['kubeProxy', 'mode'];
  if (problem?.severity === 'error') findings.error(path, mode, problem.message);
  if (problem?.severity === 'warning') findings.warning(path, mode, problem.message);

  const ofProxy = proxyConntrack(version);
  const whole = (key: keyof typeof spec.kubeProxy.timeouts) =>
    seconds(wholeSeconds(spec.kubeProxy.timeouts[key], ['kubeProxy', 'timeouts', key], findings));
  const syncPeriod = spec.environment === 'lab' ? EMULATION_SYNC_PERIOD : SYNC_PERIOD;
  // IPv6 first would be [::], which takes both families; a site of one family binds that family.
  const [any, local] = address.families.includes('ipv4') ? ['0.0.0.0', '127.0.0.1'] : ['::', '[::1]'];
  return {
    mode,
    conntrackOwner: conntrack,
    configuration: {
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      mode,
      bindAddress: any,
      bindAddressHardFail: false,
      healthzBindAddress: `${any === '::' ? '[::]' : any}:10256`,
      // Only the node itself may read the metrics, and with them /proxyMode.
      metricsBindAddress: `${local}:10249`,
      clientConnection: {
        kubeconfig: '/var/lib/kube-proxy/kubeconfig.conf',
        acceptContentTypes: '',
        contentType: 'application/vnd.kubernetes.protobuf',
        qps: 5,
        burst: 10,
      },
      // Whatever pod sends to a Service keeps its address; everything else is masqueraded on its way to a pod.
      clusterCIDR: address.podCidrs.join(','),
      detectLocalMode: 'ClusterCIDR',
      detectLocal: { bridgeInterface: '', interfaceNamePrefix: '' },
      configSyncPeriod: '15m0s',
      enableProfiling: false,
      featureGates,
      hostnameOverride: '',
      nodePortAddresses: [],
      oomScoreAdj: -999,
      portRange: '',
      showHiddenMetricsForVersion: '',
      iptables: {
        localhostNodePorts: true,
        masqueradeAll: false,
        masqueradeBit: 14,
        minSyncPeriod: '1s',
        syncPeriod,
      },
      ipvs: {
        scheduler,
        strictARP,
        // kube-proxy cleans up virtual servers that no Service has; one of keepalived on the same address is not its own.
        excludeCIDRs: excludedCidrs(spec, findings),
        tcpTimeout: whole('tcp'),
        tcpFinTimeout: whole('tcpFin'),
        udpTimeout: whole('udp'),
        minSyncPeriod: '1s',
        syncPeriod,
      },
      nftables: { masqueradeAll: false, masqueradeBit: 14, minSyncPeriod: '1s', syncPeriod },
      conntrack: {
        // 0 leaves nf_conntrack_max alone, which is then a sysctl of the plan.
        ...(conntrack === 'site' ? { maxPerCore: 0, min: 0 } : { maxPerCore: ofProxy.perCpu, min: ofProxy.least }),
        tcpBeLiberal: false,
        tcpCloseWaitTimeout: '1h0m0s',
        tcpEstablishedTimeout: '24h0m0s',
        udpStreamTimeout: '0s',
        udpTimeout: '0s',
      },
    },
  };
}

function excludedCidrs(spec: SiteSpec, findings: Findings): string[] {
  const stated = spec.kubeProxy.excludeCIDRs.map(
    (text, index) => refuseHostBits(text, ['kubeProxy', 'excludeCIDRs', index], findings).network.text,
  );
  const { vip } = spec.kubernetes;
  const own = vip === undefined ? [] : [`${parseIp(vip).text}/${BITS[parseIp(vip).family]}`];
  return [...new Set([...own, ...stated])];
}
