import { ManifestError, type ManifestObject } from '../../network/manifest';
import type { BundlePlan } from '../../plan/clusterTypes';
import type { IngressManifestEdits, IngressPlan } from '../../plan/ingressTypes';
import { IMAGE_PULL_POLICY } from '../cluster';

/**
 * The release of an ingress controller with the values of a plan: edits of parsed objects at places that must be there. A
 * newer release that lacks one is refused with its name.
 */

interface Named {
  name: string;
}

interface Container extends Named {
  image: string;
  imagePullPolicy?: string;
  args: string[];
  ports: (Named & { containerPort: number; hostPort?: number })[];
  volumeMounts?: Named[];
  resources?: object;
  securityContext: { allowPrivilegeEscalation: boolean };
}

interface Workload {
  selector: object;
  template: {
    metadata: { labels: Record<string, string> };
    spec: { containers: Container[]; volumes?: Named[]; nodeSelector?: object } & Record<string, unknown>;
  };
}

type Plan = Pick<IngressPlan, 'controller' | 'version' | 'className' | 'defaultClass' | 'edits'>;

/**
 * The objects with the edits made; those given stay as they are.
 * @throws ManifestError with every place that is missing
 */
export function editIngress(objects: ManifestObject[], plan: Plan, images: BundlePlan['images']): ManifestObject[] {
  const editor = new Editor(structuredClone(objects), plan.edits);
  editor.objectsRemoved();
  editor.namespace();
  editor.config();
  editor.ingressClass(plan);
  editor.workload(images);
  if (editor.problems.length > 0) throw new ManifestError(`${plan.controller} ${plan.version}`, editor.problems);
  return editor.objects;
}

class Editor {
  readonly problems: string[] = [];

  constructor(
    public objects: ManifestObject[],
    private readonly edits: IngressManifestEdits,
  ) {}

  objectsRemoved(): void {
    for (const wanted of this.edits.objectsRemoved) {
      const [kind, name] = wanted.split(' ') as [string, string];
      const found = this.find(kind, name);
      this.objects = this.objects.filter((object) => object !== found);
    }
  }

  namespace(): void {
    const found = this.objects.find(({ kind }) => kind === 'Namespace');
    if (found === undefined) return void this.problems.push('there is no Namespace');
    const metadata = found.metadata as { labels?: Record<string, string> };
    metadata.labels = { ...metadata.labels, ...this.edits.namespaceLabels };
  }

  config(): void {
    const found = this.find('ConfigMap', this.edits.names.configMap);
    if (found !== undefined) found.data = this.edits.config;
  }

  ingressClass({ className, defaultClass }: Plan): void {
    const found = this.find('IngressClass', className);
    if (found === undefined || !defaultClass) return;
    const metadata = found.metadata as { annotations?: Record<string, string> };
    metadata.annotations = { ...metadata.annotations, 'ingressclass.kubernetes.io/is-default-class': 'true' };
  }

  /** The release's pod in the kind of workload that the plan wants. */
  workload(images: BundlePlan['images']): void {
    const { names, replicas } = this.edits;
    const found = this.objects.find(
      ({ kind, metadata }) => (kind === 'DaemonSet' || kind === 'Deployment') && metadata.name === names.workload,
    );
    if (found === undefined) return void this.problems.push(`there is no DaemonSet or Deployment ${names.workload}`);
    const where = `${found.kind} ${names.workload}`;
    const { selector, template } = found.spec as Workload;
    this.container(where, template, images);
    this.pod(where, template, selector);
    const rest = { selector, template };
    // A host's ports have one owner, so the old pod goes before the new one comes, one machine at a time.
    found.kind = replicas === null ? 'DaemonSet' : 'Deployment';
    found.spec =
      replicas === null
        ? { ...rest, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } } }
        : { ...rest, replicas, strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } } };
  }

  private container(where: string, template: Workload['template'], images: BundlePlan['images']): void {
    const { names, pod, resources, argumentsRemoved, argumentsAdded, portsRemoved, volumesRemoved } = this.edits;
    const container = template.spec.containers.find(({ name }) => name === names.container);
    if (container === undefined) return void this.problems.push(`${where} has no container ${names.container}`);
    const image = images[names.image];
    if (image === undefined) this.problems.push(`the bundle has no image ${names.image}`);
    else container.image = image;
    // It comes with the bundle and nobody is to ask a registry for it.
    container.imagePullPolicy = IMAGE_PULL_POLICY;
    for (const argument of argumentsRemoved) {
      if (!container.args.includes(argument)) this.problems.push(`${where} has no argument ${argument}`);
    }
    container.args = [...container.args.filter((word) => !argumentsRemoved.includes(word)), ...argumentsAdded];
    container.ports = this.without(`${where}: port`, container.ports, portsRemoved).map(({ hostPort, ...port }) =>
      pod.hostNetwork && hostPort !== undefined ? { ...port, hostPort } : port,
    );
    if (volumesRemoved.length > 0) {
      container.volumeMounts = this.without(`${where}: mount`, container.volumeMounts ?? [], volumesRemoved);
      template.spec.volumes = this.without(`${where}: volume`, template.spec.volumes ?? [], volumesRemoved);
    }
    container.resources = resources;
    // In a network of its own a pod may bind any port (containerd). In that of the node it needs NET_BIND_SERVICE of the
    // program's file, which a process that can gain nothing does not get; all other capabilities are dropped.
    if (pod.hostNetwork) container.securityContext.allowPrivilegeEscalation = true;
  }

  private pod(where: string, { spec }: Workload['template'], selector: object): void {
    const { hostNetwork, dnsPolicy, nodeSelector, tolerations } = this.edits.pod;
    if (spec.hostNetwork === true) this.problems.push(`${where} is in the network of its node already`);
    spec.nodeSelector = { ...spec.nodeSelector, ...nodeSelector };
    spec.dnsPolicy = dnsPolicy;
    if (tolerations.length > 0) spec.tolerations = tolerations;
    if (hostNetwork) spec.hostNetwork = true;
    else {
      spec.topologySpreadConstraints = [
        {
          maxSkew: 1,
          topologyKey: 'kubernetes.io/hostname',
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: selector,
          matchLabelKeys: ['pod-template-hash'],
        },
      ];
    }
  }

  private without<T extends Named>(where: string, items: T[], names: string[]): T[] {
    for (const name of names) {
      if (!items.some((item) => item.name === name)) this.problems.push(`${where} ${name} is missing`);
    }
    return items.filter(({ name }) => !names.includes(name));
  }

  private find(kind: string, name: string): ManifestObject | undefined {
    const found = this.objects.find((object) => object.kind === kind && object.metadata.name === name);
    if (found === undefined) this.problems.push(`there is no ${kind} ${name}`);
    return found;
  }
}
