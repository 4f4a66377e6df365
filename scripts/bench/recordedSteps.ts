/**
 * The steps of a built site without the engine: every script and request is read from the state that `up` has left, so
 * a shell script that sends them does the same work, byte for byte.
 */

export interface Login {
  host: string;
  port: number;
  user: string;
  privateKey: string;
  /** `ssh-ed25519 AAAA…` */
  hostKey: string;
}

export interface RecordedSteps {
  /** Script that stores the base image, run on the hypervisor. */
  baseImage: string;
  /** Script that stores the image of the bundle there; null for a site without a cluster. */
  bundleImage: string | null;
  machines: {
    name: string;
    login: Login;
    /** Script that makes the machine, run on the hypervisor. */
    make: string;
    /** Script that prepares the node, run on it. */
    prepare: string;
  }[];
  /** Requests to the agent. */
  nodeProofs: string[];
  pairProofs: string[];
}

/** How the engine's `stack export --show-secrets` writes a secret: as JSON under `plaintext`. */
interface Secret {
  plaintext: string;
}

interface RecordedResource {
  urn: string;
  inputs?: { stdin?: Secret | string; connection?: unknown };
}

/** Finds a secret's value at any depth. */
function revealed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('plaintext' in value) return revealed(JSON.parse((value as Secret).plaintext));
  if (Array.isArray(value)) return value.map(revealed);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revealed(inner)]));
}

/**
 * @param state what `stack export --show-secrets` prints.
 * @param pairs names of the machines of each proved pair.
 */
export function recordedSteps(
  state: string,
  site: string,
  hypervisor: string,
  machines: string[],
  pairs: [string, string][],
): RecordedSteps {
  const { resources } = (JSON.parse(state) as { deployment: { resources: RecordedResource[] } }).deployment;
  const byName = new Map(resources.map((resource) => [resource.urn.split('::').pop()!, resource]));
  const inputs = (name: string) => {
    const resource = byName.get(`${site}-${name}`);
    if (resource === undefined) throw new Error(`the state has no ${site}-${name}`);
    return revealed(resource.inputs) as { stdin: string; connection: Login };
  };
  const bundle = `machines-${hypervisor}-bundle`;
  return {
    baseImage: inputs(`machines-${hypervisor}-image`).stdin,
    bundleImage: byName.has(`${site}-${bundle}`) ? inputs(bundle).stdin : null,
    machines: machines.map((name) => ({
      name,
      login: inputs(`${name}-prepare`).connection,
      make: inputs(`machines-${name}-domain`).stdin,
      prepare: inputs(`${name}-prepare`).stdin,
    })),
    nodeProofs: machines.map((name) => inputs(`proof-node-${name}`).stdin),
    pairProofs: pairs.map(([a, b]) => inputs(`proof-pair-${a}-${b}`).stdin),
  };
}
