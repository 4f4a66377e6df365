import { RULES, type RuleName } from '../spec/rulesSchema';
import type { SiteSpec } from '../spec/schema';
import type { Finding, SitePlan, SpecPath } from './types';

/**
 * Rules of an organisation over a plan that could be built as it is: each says what is wrong, or nothing. Levels and
 * exceptions come from the site or its profile. What no site can work with is refused by the plan itself.
 */

interface Site {
  spec: SiteSpec;
  plan: SitePlan;
  /** Day in UTC, such as 2026-11-21: a plan knows no clock, and some rules are about one. */
  today: string;
}

export interface RuleFinding extends Finding {
  rule: RuleName;
}

interface Broken {
  path: SpecPath;
  given?: unknown;
  message: string;
}

interface Rule {
  level: 'error' | 'warning';
  check(site: Site): Broken[];
}

const production = ({ plan }: Site) => plan.environment === 'production';

const podMtu: Rule = {
  level: 'error',
  check: ({ spec, plan: { mtu } }) => {
    const most = mtu.underlayMtuBytes - mtu.overheadBytes;
    if (mtu.podMtuBytes <= most) return [];
    const message = `pods have packets of ${mtu.podMtuBytes} bytes and ${most} fit the underlay: set network.podMtu to auto`;
    return [{ path: ['network', 'podMtu'], given: spec.network.podMtu, message }];
  },
};

const hostKeys: Rule = {
  level: 'error',
  check: ({ spec, plan: { nodes, machines } }) => {
    if (machines.provider !== 'existing') return [];
    return nodes.flatMap(({ name, ssh }): Broken[] => {
      if (ssh.hostKey !== null) return [];
      const index = spec.machines.nodes.findIndex((node) => node.name === name);
      const message = `${name} has no host key that its first connection is checked by: state ssh.hostKey`;
      return [{ path: ['machines', 'nodes', index, 'ssh', 'hostKey'], message }];
    });
  },
};

const ENCRYPTION_ARGUMENT = 'encryption-provider-config';

const encryptionAtRest: Rule = {
  level: 'error',
  check: ({ plan: { cluster } }) => {
    const { apiServer } = (cluster?.kubeadm.clusterConfiguration ?? {}) as {
      apiServer?: { extraArgs?: { name: string }[] };
    };
    if (cluster === null || apiServer?.extraArgs?.some(({ name }) => name === ENCRYPTION_ARGUMENT)) return [];
    const message = `the API server writes Secrets to etcd as they are: it has no argument ${ENCRYPTION_ARGUMENT}`;
    return [{ path: ['kubernetes', 'version'], message }];
  },
};

const supportEnd: Rule = {
  level: 'warning',
  check: ({ plan: { cluster }, today }) => {
    if (cluster === null || today <= cluster.supportedUntil) return [];
    const { kubernetesVersion: given, supportedUntil } = cluster;
    return [
      {
        path: ['kubernetes', 'version'],
        given,
        message: `${given} gets no fixes since ${supportedUntil}: go to a newer minor`,
      },
    ];
  },
};

const etcdProtected: Rule = {
  level: 'warning',
  check: (site) => {
    const { cluster, nodes } = site.plan;
    if (cluster === null || !production(site)) return [];
    const members = nodes.filter(({ role }) => role === 'control-plane').length;
    return [
      ...(members >= 3
        ? []
        : [
            {
              path: ['machines', 'nodes'],
              message: `${members} control-plane machine in production: etcd is gone with its disk; use 3 or 5`,
            },
          ]),
      ...(cluster.etcdSnapshots !== null
        ? []
        : [
            {
              path: ['kubernetes', 'etcd', 'snapshots'],
              message: 'nobody takes snapshots of etcd in production: state kubernetes.etcd.snapshots',
            },
          ]),
    ];
  },
};

const antiAffinity: Rule = {
  level: 'warning',
  check: (site) => {
    const given = site.spec.machines.kvm?.antiAffinity;
    if (!production(site) || site.plan.machines.provider !== 'kvm' || given !== 'off') return [];
    const message = 'control-plane machines of production may share a hypervisor: leave machines.kvm.antiAffinity out';
    return [{ path: ['machines', 'kvm', 'antiAffinity'], given, message }];
  },
};

const baselinePolicy: Rule = {
  level: 'warning',
  check: (site) => {
    const given = site.spec.policy.baseline;
    if (site.plan.cluster === null || !production(site) || given !== 'none') return [];
    const message = 'every pod of production may reach every other: set policy.baseline to restricted';
    return [{ path: ['policy', 'baseline'], given, message }];
  },
};

const personalData: Rule = {
  level: 'error',
  check: ({ spec }) => {
    if (spec.residency !== undefined) return [];
    return spec.policy.namespaces.flatMap(({ name, data }, index): Broken[] => {
      if (data !== 'personal') return [];
      const message = `${name} handles personal data, and no zone is stated that it stays in: state residency.zone`;
      return [{ path: ['policy', 'namespaces', index, 'data'], given: data, message }];
    });
  },
};

const archivedController: Rule = {
  level: 'warning',
  check: ({ plan: { cluster } }) => {
    const given = cluster?.ingress?.controller;
    if (given !== 'ingress-nginx') return [];
    const message = 'ingress-nginx is archived and gets no fixes: set ingress.controller to nginx';
    return [{ path: ['ingress', 'controller'], given, message }];
  },
};

const CHECKS: Record<RuleName, Rule> = {
  'pod-mtu': podMtu,
  'host-keys': hostKeys,
  'encryption-at-rest': encryptionAtRest,
  'support-end': supportEnd,
  'etcd-protected': etcdProtected,
  'anti-affinity': antiAffinity,
  'baseline-policy': baselinePolicy,
  'personal-data': personalData,
  'archived-controller': archivedController,
};

/**
 * Holds a plan against the rules. An exception makes what its rule says a warning with its owner; one whose day is over is an
 * error, broken rule or not, so that nobody forgets it.
 */
export function checkRules(site: Site): RuleFinding[] {
  const { levels, exceptions } = site.spec.rules;
  const ended = exceptions.flatMap(({ name, owner, until }, index): RuleFinding[] => {
    if (site.today <= until) return [];
    const message = `the exception from ${name} ended on ${until}: do what the rule wants and take it out, or ask ${owner} for a later day`;
    return [{ rule: name, severity: 'error', path: ['rules', 'exceptions', index, 'until'], given: until, message }];
  });
  const broken = RULES.flatMap((rule) => {
    const { level, check } = CHECKS[rule];
    const counts = levels[rule] ?? level;
    if (counts === 'off') return [];
    const exception = exceptions.find((one) => one.name === rule && site.today <= one.until);
    return check(site).map(({ path, given, message }): RuleFinding => {
      const found = { rule, path, ...(given === undefined ? {} : { given }) };
      if (exception === undefined) return { ...found, severity: counts, message: `${message} (rule ${rule})` };
      const { owner, until, reason } = exception;
      const accepted = `accepted by ${owner} until ${until}: ${reason}`;
      return { ...found, severity: 'warning', message: `${message} (rule ${rule}, ${accepted})` };
    });
  });
  return [...ended, ...broken];
}
