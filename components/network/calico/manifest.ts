import { sha256OfText } from '../../bundle/checksum';
import type { CalicoManifestEdits, ContainerResources, Toleration } from '../../plan/calicoTypes';
import type { BundlePlan, CalicoImage, KubeDocument } from '../../plan/clusterTypes';
import { ManifestError, type ManifestObject } from '../manifest';

/**
 * Calico's release manifest with the values of a plan: edits of parsed objects at places that must be there. A newer
 * manifest that lacks one is refused with its name, because a value that nobody reads would look like one that is set.
 */

interface Container {
  name: string;
  image: string;
  imagePullPolicy?: string;
  resources?: ContainerResources;
  env?: { name: string; value?: string; valueFrom?: unknown }[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
}

interface Probe {
  exec?: { command: string[] };
  httpGet?: { host: string; path: string; port: number };
  periodSeconds?: number;
  timeoutSeconds?: number;
  initialDelaySeconds?: number;
}

interface Metadata {
  annotations?: Record<string, string>;
}

interface PodSpec {
  tolerations?: Toleration[];
  containers: Container[];
  initContainers?: Container[];
}

export interface ManifestSettings {
  edits: CalicoManifestEdits;
  images: BundlePlan['images'];
  /** Multiplies the periods and time-outs of probes; above 1 on machines that are known to be slow. */
  limitFactor: number;
}

/**
 * The objects with the edits made; those given stay as they are.
 * @throws ManifestError with every place that is missing
 */
export function editManifest(objects: ManifestObject[], settings: ManifestSettings): ManifestObject[] {
  const { edits } = settings;
  const editor = new Editor(structuredClone(objects));
  editor.config(edits);
  editor.node(edits, settings.limitFactor);
  if (edits.typhaReplicas !== null) editor.typha(edits.typhaReplicas, edits.resources.typha, settings.limitFactor);
  if (edits.kubeControllers) editor.tolerate(KUBE_CONTROLLERS, edits.tolerations);
  else editor.leaveOut(KUBE_CONTROLLERS);
  editor.images(settings.images);
  if (editor.problems.length > 0) throw new ManifestError(edits.file, editor.problems);
  return editor.objects;
}

const CONFIG = 'calico-config';
const NODE = 'calico-node';
const TYPHA = 'calico-typha';
const KUBE_CONTROLLERS = 'calico-kube-controllers';
const CONFIG_ANNOTATION = 'sitewright.internal/configuration-sha256';
/** Default of Felix, on the loopback device. */
const FELIX_HEALTH_PORT = 9099;
const NETWORK_CONFIG = 'cni_network_config';
/** Marks a place-holder that stands without quotes, while its surroundings are parsed. */
const UNQUOTED = '#unquoted';

class Editor {
  readonly problems: string[] = [];

  constructor(public objects: ManifestObject[]) {}

  config({ config, cniPlugin, cniPluginsAdded }: CalicoManifestEdits): void {
    const data = this.find('ConfigMap', CONFIG)?.data as Record<string, string> | undefined;
    if (data === undefined) return;
    for (const [key, value] of Object.entries(config)) {
      if (this.has(data, key, `ConfigMap ${CONFIG}`)) data[key] = value;
    }
    if (this.has(data, NETWORK_CONFIG, `ConfigMap ${CONFIG}`)) {
      data[NETWORK_CONFIG] = this.networkConfig(data[NETWORK_CONFIG], cniPlugin, cniPluginsAdded);
    }
  }

  /** JSON but for one place-holder of a number, which calico's installer fills in. */
  private networkConfig(text: string, cniPlugin: Record<string, unknown>, added: KubeDocument[]): string {
    const quoted = text.replace(/:\s*(__[A-Z_]+__)/g, `: "$1${UNQUOTED}"`);
    let parsed: { plugins?: Record<string, unknown>[] };
    try {
      parsed = JSON.parse(quoted) as typeof parsed;
    } catch {
      this.problems.push(`ConfigMap ${CONFIG}: ${NETWORK_CONFIG} is no JSON`);
      return text;
    }
    const first = parsed.plugins?.[0];
    if (first?.type !== 'calico') {
      this.problems.push(`ConfigMap ${CONFIG}: ${NETWORK_CONFIG} does not begin with the plugin calico`);
      return text;
    }
    for (const key of Object.keys(cniPlugin)) this.has(first, key, `ConfigMap ${CONFIG}: plugin calico`);
    Object.assign(first, cniPlugin);
    parsed.plugins!.push(...added);
    return JSON.stringify(parsed, null, 2).replace(new RegExp(`"(__[A-Z_]+__)${UNQUOTED}"`, 'g'), '$1');
  }

  node({ nodeEnv, nodeEnvAdded, resources, bird }: CalicoManifestEdits, limitFactor: number): void {
    const container = this.container('DaemonSet', NODE, NODE);
    if (container === undefined) return;
    setResources(container, resources.node);
    const env = (container.env ??= []);
    for (const [name, value] of Object.entries(nodeEnv)) {
      const at = env.findIndex((one) => one.name === name);
      if (at < 0) this.problems.push(`DaemonSet ${NODE}: container ${NODE} has no variable ${name}`);
      else env[at] = { name, value };
    }
    for (const [name, value] of Object.entries(nodeEnvAdded)) {
      const at = env.findIndex((one) => one.name === name);
      if (at < 0) env.push({ name, value });
      else env[at] = { name, value };
    }
    for (const [key, option, path] of [
      ['livenessProbe', '-bird-live', '/liveness'],
      ['readinessProbe', '-bird-ready', '/readiness'],
    ] as const) {
      const probe = container[key];
      if (probe?.exec?.command.includes(option) !== true) {
        this.problems.push(`DaemonSet ${NODE}: ${key} has no command with ${option}`);
      } else if (!bird) container[key] = askFelix(probe, path);
    }
    slowProbes(container, limitFactor);
    this.stampConfig();
  }

  /** The configuration reaches the CNI plugin of a node when calico-node starts there: another one makes its pods anew. */
  private stampConfig(): void {
    const config = this.find('ConfigMap', CONFIG)?.data as object | undefined;
    const spec = this.find('DaemonSet', NODE)?.spec as { template: { metadata: Metadata } } | undefined;
    if (config === undefined || spec === undefined) return;
    const { metadata } = spec.template;
    metadata.annotations = { ...metadata.annotations, [CONFIG_ANNOTATION]: sha256OfText(JSON.stringify(config)) };
  }

  typha(replicas: number, resources: ContainerResources | null, limitFactor: number): void {
    const deployment = this.find('Deployment', TYPHA);
    const spec = deployment?.spec as { replicas?: number } | undefined;
    if (spec === undefined || !this.has(spec, 'replicas', `Deployment ${TYPHA}`)) return;
    spec.replicas = replicas;
    const container = this.container('Deployment', TYPHA, TYPHA);
    if (container === undefined) return;
    setResources(container, resources);
    slowProbes(container, limitFactor);
  }

  tolerate(name: string, added: Toleration[]): void {
    if (added.length === 0) return;
    const spec = this.find('Deployment', name)?.spec as { template?: { spec?: PodSpec } } | undefined;
    if (spec === undefined) return;
    const pod = spec.template?.spec ?? { containers: [] };
    if (this.has(pod, 'tolerations', `Deployment ${name}`)) pod.tolerations!.push(...added);
  }

  /** Everything of this name: the workload, its account and what that may do. */
  leaveOut(name: string): void {
    if (this.find('Deployment', name) === undefined) return;
    this.objects = this.objects.filter(({ metadata }) => metadata.name !== name);
  }

  images(images: BundlePlan['images']): void {
    for (const object of this.objects) {
      const spec = (object.spec as { template?: { spec?: PodSpec } } | undefined)?.template?.spec;
      for (const container of [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]) {
        const key = imageKey(container.image);
        const reference = images[key];
        if (reference === undefined) {
          this.problems.push(
            `${object.kind} ${object.metadata.name}: container ${container.name} wants ${container.image}, and the bundle has no image ${key}`,
          );
          continue;
        }
        container.image = reference;
        // It comes with the bundle and nobody is to ask a registry for it.
        container.imagePullPolicy = 'Never';
      }
    }
  }

  private find(kind: string, name: string): ManifestObject | undefined {
    const found = this.objects.find((object) => object.kind === kind && object.metadata.name === name);
    if (found === undefined) this.problems.push(`there is no ${kind} ${name}`);
    return found;
  }

  private container(kind: string, name: string, container: string): Container | undefined {
    const spec = this.find(kind, name)?.spec as { template?: { spec?: PodSpec } } | undefined;
    if (spec === undefined) return undefined;
    const found = spec.template?.spec?.containers.find((one) => one.name === container);
    if (found === undefined) this.problems.push(`${kind} ${name} has no container ${container}`);
    return found;
  }

  private has(holder: object, key: string, where: string): boolean {
    if (key in holder) return true;
    this.problems.push(`${where} has no ${key}`);
    return false;
  }
}

/** calico-node of quay.io/calico/node:v3.32.1; calico where one image has every program. */
function imageKey(reference: string): CalicoImage {
  const name = reference.split('/').pop()!.split(/[:@]/)[0];
  return (name === 'calico' ? name : `calico-${name}`) as CalicoImage;
}

/** Over what the release has: a request of CPU that nobody mentions stays. */
function setResources(container: Container, stated: ContainerResources | null): void {
  if (stated === null) return;
  const { requests, limits } = container.resources ?? {};
  container.resources = {
    requests: { ...requests, ...stated.requests },
    ...(stated.limits === undefined ? (limits === undefined ? {} : { limits }) : { limits: stated.limits }),
  };
}

/**
 * Without BIRD kubelet asks Felix itself what the command would ask it: starting a program of 100 MB twice in ten seconds on
 * every node is a good part of a small machine, and ended in time-outs on an emulated one (8 s for a single question).
 */
function askFelix({ exec: _, ...limits }: Probe, path: string): Probe {
  return { ...limits, httpGet: { host: 'localhost', path, port: FELIX_HEALTH_PORT } };
}

function slowProbes(container: Container, limitFactor: number): void {
  for (const probe of [container.livenessProbe, container.readinessProbe]) {
    if (probe === undefined) continue;
    for (const key of ['periodSeconds', 'timeoutSeconds', 'initialDelaySeconds'] as const) {
      if (probe[key] !== undefined) probe[key] = Math.round(probe[key] * limitFactor);
    }
  }
}
