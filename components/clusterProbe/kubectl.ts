import type { SshSession, SshTarget } from '../ssh/session';

/** A command for the log-in shell of the user of a machine, who may have to become root first. */
export const asRoot = ({ user }: Pick<SshTarget, 'user'>, command: string) =>
  user === 'root' ? `exec ${command}` : `exec sudo -n ${command}`;

/** kubectl said no; its own words. */
export class KubectlError extends Error {}

/** kubectl as the administrator of a cluster, on a control-plane node and for root. */
export const ADMIN_KUBECTL = '/usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf';

/**
 * For objects that the kit writes itself. To check them kubectl would first fetch the API's whole description, some
 * megabytes that a server which has just started takes longer to make than kubectl waits for them.
 */
export const CREATE = ['create', '--validate=false'];

/**
 * kubectl on a control-plane node, as its administrator: the API may be reachable from inside the site only, and the
 * node's own program fits the version of the cluster.
 */
export class Kubectl {
  constructor(
    private readonly session: SshSession,
    private readonly asRoot: (command: string) => string,
  ) {}

  /** Resolves with stdout. Arguments are words of names, paths and options; nothing in them is quoted. */
  async run(
    args: string[],
    opts: { stdin?: string; timeoutSeconds: number; signal?: AbortSignal; onStderrLine?(line: string): void },
  ): Promise<string> {
    const { code, stdout, stderr } = await this.session.exec(this.asRoot(`${ADMIN_KUBECTL} ${args.join(' ')}`), opts);
    if (code !== 0) throw new KubectlError(stderr.trim() || `kubectl ended with exit code ${code}`);
    return stdout;
  }

  async json<T>(args: string[], opts: { timeoutSeconds: number; signal?: AbortSignal }): Promise<T> {
    return JSON.parse(await this.run([...args, '-o', 'json'], opts)) as T;
  }
}
