import { writeFileSync } from 'node:fs';
import { type AnyNodeName, expectExit, Lab, type Result } from './lab';

/** What an `up` that had nothing to do counts. */
export const NOTHING = { create: 0, update: 0, delete: 0, replace: 0 };

const KUBECTL = 'sudo /usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf';

/** An image that every node has, with a shell and what belongs to it; those of the cluster's own parts have none. */
export const TOOLBOX = 'bundle.sitewright.internal/toolbox:bookworm';

/** A lab with its cluster. */
export class ClusterLab extends Lab {
  private readonly committed: string;

  constructor(site: string) {
    super(site, { cluster: true });
    this.committed = this.read();
  }

  /** From nothing, as on a machine that never had this lab. */
  async fromNothing(): Promise<void> {
    await this.host('down', '--name', this.site);
    expectExit(await this.host('up', '--name', this.site), 0);
  }

  /** The site as it is committed, whatever the story before has left: a minute where it stands already. */
  async begin(): Promise<void> {
    writeFileSync(this.siteFile, this.committed);
    expectExit(await this.up(), 0);
  }

  /** On the node, as its administrator. */
  kubectl(words: string, node: AnyNodeName = 'lab1'): Promise<string> {
    return this.ssh(node, `${KUBECTL} ${words}`);
  }

  /** The API server validates: kubectl would ask it for all its schemas first, which takes over half a minute with Calico's. */
  apply(...objects: object[]): Promise<string> {
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    return this.ssh(
      'lab1',
      `echo ${Buffer.from(list).toString('base64')} | base64 -d | ${KUBECTL} apply --validate=false -f -`,
    );
  }

  async upCounts(): Promise<Record<string, number>> {
    const result = await this.sitewright('up', this.site, '--json', '--yes');
    expectExit(result, 0);
    return (JSON.parse(result.stdout) as { counts: Record<string, number> }).counts;
  }

  verify(): Promise<Result> {
    return this.sitewright('verify', this.site);
  }
}
