import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Address4, Address6 } from 'ip-address';
import { labLayout } from '../../scripts/lab/layout';
import { expectExit, run, Running, until } from './lab';

/** Networks of a lab: machines and their resolver, pods, Services, stand-ins for pods of the proof, and what never leaves a link. */
const SITE = [
  ...['192.0.2.0/24', '10.244.0.0/16', '10.96.0.0/12', '198.18.0.0/15', '127.0.0.0/8', '169.254.0.0/16'],
  ...['2001:db8:0:2::/64', 'fd00:5157::/32', 'fdc5:7377:7070::/48', '::1/128', 'fe80::/10'],
];

/** TCP and DNS on the bridges of a lab while something runs. Connections inside the site are not kept, questions are. */
export class Capture {
  private readonly folder = mkdtempSync(join(tmpdir(), 'sitewright-capture-'));
  private readonly file = join(this.folder, 'packets');
  private readonly tcpdump: Running;

  private constructor(site: string) {
    const inside = SITE.map((cidr) => `not dst net ${cidr}`).join(' and ');
    const filter = `(tcp and ${inside}) or port 53`;
    const where = ['netns', 'exec', labLayout(site).namespace];
    this.tcpdump = new Running('ip', [...where, 'tcpdump', '-i', 'any', '-s', '300', '-U', '-w', this.file, filter]);
  }

  /** The network of the lab must be there. */
  static async start(site: string): Promise<Capture> {
    const capture = new Capture(site);
    const said = () => capture.tcpdump.result.stderr;
    await until('the capture runs', 60, () => capture.tcpdump.ended || said().includes('listening on'));
    if (capture.tcpdump.ended) throw new Error(`tcpdump ended: ${said()}`);
    return capture;
  }

  /** Ends it. `leaving`: packets to an address outside; `names`: what the resolver of the site was asked for, sorted. */
  async stop(): Promise<{ leaving: string[]; names: string[] }> {
    this.tcpdump.signal('SIGINT');
    expectExit(await this.tcpdump.done, 0);
    const shown = await run('tcpdump', ['-nn', '-r', this.file]);
    expectExit(shown, 0);
    rmSync(this.folder, { recursive: true, force: true });
    const leaving: string[] = [];
    const names = new Set<string>();
    for (const line of shown.stdout.split('\n')) {
      const destination = / > ([0-9a-f.:]+)\.(?:\d+): /.exec(line)?.[1];
      if (destination === undefined) continue;
      if (!isInside(destination)) leaving.push(line);
      const asked = /\? (\S+)\. /.exec(line)?.[1];
      // CoreDNS asks for a number that nobody else knows, to see whether it is its own resolver.
      if (asked !== undefined && !line.includes(' HINFO? ')) names.add(asked);
    }
    return { leaving, names: [...names].sort() };
  }

  /** For a story that failed before it was stopped. */
  abandon(): void {
    this.tcpdump.signal('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function isInside(address: string): boolean {
  if (!address.includes(':')) {
    const one = new Address4(address);
    return SITE.some((cidr) => !cidr.includes(':') && one.isInSubnet(new Address4(cidr)));
  }
  const one = new Address6(address);
  return SITE.some((cidr) => cidr.includes(':') && one.isInSubnet(new Address6(cidr)));
}
