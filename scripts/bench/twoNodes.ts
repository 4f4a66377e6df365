import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { runChild } from './child';

/**
 * Two nodes with jumbo network cards (9,000 bytes) on a bridge that drops larger frames than 1,500 bytes of IP, without ICMP:
 * a switch that nobody told. Each node has one pod, behind a veth as every CNI makes it. All are namespaces of this run.
 *
 *     pod a 198.18.1.2 -- node a 192.0.2.1 ==(tunnel)== switch == 192.0.2.2 node b -- 198.18.2.2 pod b
 */
export const KINDS = ['none', 'ipip', 'vxlan', 'wireguard'] as const;
export type Kind = (typeof KINDS)[number];
type Side = 'a' | 'b';

const NODE_MTU_BYTES = 9000;
export const PATH_MTU_BYTES = 1500;
const TUNNEL = 'tunnel';
const VXLAN_PORT = '4789';
const WIREGUARD_PORT = '51820';
/** Of one program in a pod, which has limits of its own. */
const LIMIT_SECONDS = 120;
const START_LIMIT_MILLISECONDS = 60_000;

const SIDES = { a: { number: 1, peer: 2 }, b: { number: 2, peer: 1 } } as const;

export class TwoNodes {
  private readonly processes: ChildProcess[] = [];
  private readonly keys = { a: wireguardKeys(), b: wireguardKeys() };
  private kind: Kind | null = null;

  constructor(private readonly signal: AbortSignal) {}

  build(): void {
    for (const place of ['switch', 'node-a', 'node-b', 'pod-a', 'pod-b']) ip('netns', 'add', this.namespace(place));
    const middle = this.namespace('switch');
    ip('-n', middle, 'link', 'add', 'br0', 'mtu', String(NODE_MTU_BYTES), 'type', 'bridge');
    for (const side of ['a', 'b'] as const) {
      const { number } = SIDES[side];
      const [node, pod] = [this.namespace(`node-${side}`), this.namespace(`pod-${side}`)];
      const port = `port-${side}`;
      veth([node, 'eth0'], [middle, port], NODE_MTU_BYTES);
      ip('-n', middle, 'link', 'set', port, 'master', 'br0');
      ip('-n', node, 'address', 'add', `192.0.2.${number}/24`, 'dev', 'eth0');
      // Real links carry what the wire carries: without this a veth hands 64 KB segments across in one piece.
      for (const [namespace, device] of [
        [node, 'eth0'],
        [middle, port],
      ] as const)
        inside(namespace, ['ethtool', '-K', device, 'tso', 'off', 'gso', 'off', 'gro', 'off']);
      veth([node, 'to-pod'], [pod, 'eth0'], PATH_MTU_BYTES);
      ip('-n', node, 'address', 'add', `198.18.${number}.1/24`, 'dev', 'to-pod');
      ip('-n', pod, 'address', 'add', `198.18.${number}.2/24`, 'dev', 'eth0');
      ip('-n', pod, 'route', 'add', 'default', 'via', `198.18.${number}.1`);
      inside(node, ['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']);
    }
    ip('-n', middle, 'link', 'set', 'br0', 'up');
    inside(
      middle,
      ['nft', '-f', '-'],
      `table bridge path {
  chain forward {
    type filter hook forward priority 0;
    meta length > ${PATH_MTU_BYTES} drop
  }
}
`,
    );
  }

  /** What this machine lacks to have the tunnel; null: nothing. */
  missing(kind: Kind): string | null {
    if (kind === 'wireguard' && !works('wg', '--version')) return 'wg is not installed';
    const node = this.namespace('node-a');
    if (kind === 'none' || works('ip', '-n', node, 'link', 'add', 'probe', 'type', kind, ...addedWith(kind))) {
      works('ip', '-n', node, 'link', 'delete', 'probe');
      return null;
    }
    return `the kernel has no ${kind}`;
  }

  /** From now on the pods reach each other through this, and have this MTU at both ends of their devices. */
  connect(kind: Kind, podMtuBytes: number): void {
    if (this.kind !== kind) {
      for (const side of ['a', 'b'] as const) {
        works('ip', '-n', this.namespace(`node-${side}`), 'link', 'delete', TUNNEL);
        this.route(side, kind);
      }
      this.kind = kind;
    }
    for (const side of ['a', 'b'] as const) {
      const mtu = ['mtu', String(podMtuBytes)];
      if (kind !== 'none') ip('-n', this.namespace(`node-${side}`), 'link', 'set', TUNNEL, ...mtu);
      ip('-n', this.namespace(`node-${side}`), 'link', 'set', 'to-pod', ...mtu);
      ip('-n', this.namespace(`pod-${side}`), 'link', 'set', 'eth0', ...mtu);
      // What the kernel has learnt with another MTU is over.
      for (const place of ['node', 'pod']) ip('-n', this.namespace(`${place}-${side}`), 'route', 'flush', 'cache');
    }
  }

  podAddress(side: Side): string {
    return `198.18.${SIDES[side].number}.2`;
  }

  /** Runs a program in a pod and returns what it printed. */
  async runInPod(side: Side, command: string[]): Promise<string> {
    const args = ['netns', 'exec', this.namespace(`pod-${side}`), ...command];
    return (await runChild('ip', args, { limitSeconds: LIMIT_SECONDS, signal: this.signal })).trim();
  }

  spawnInPod(side: Side, command: string[]): void {
    const args = ['netns', 'exec', this.namespace(`pod-${side}`), ...command];
    this.processes.push(spawn('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] }));
  }

  /** Without a tunnel, and with an MTU that fits. */
  async untilAnswers(command: string[]): Promise<void> {
    this.connect('none', PATH_MTU_BYTES);
    for (const end = Date.now() + START_LIMIT_MILLISECONDS; ;) {
      try {
        await this.runInPod('a', command);
        return;
      } catch (error) {
        this.signal.throwIfAborted();
        if (Date.now() > end) throw error;
        await sleep(200);
      }
    }
  }

  async remove(): Promise<void> {
    for (const child of this.processes) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      if (child.kill('SIGKILL')) await gone;
    }
    for (const place of ['pod-a', 'pod-b', 'node-a', 'node-b', 'switch'])
      works('ip', 'netns', 'del', this.namespace(place));
  }

  private namespace(place: string): string {
    return `swb-${place}-${process.pid}`;
  }

  private route(side: Side, kind: Kind): void {
    const { number, peer } = SIDES[side];
    const node = this.namespace(`node-${side}`);
    const pods = `198.18.${peer}.0/24`;
    if (kind === 'none') return ip('-n', node, 'route', 'replace', pods, 'via', `192.0.2.${peer}`);
    const ends = kind === 'wireguard' ? [] : ['local', `192.0.2.${number}`, 'remote', `192.0.2.${peer}`];
    ip('-n', node, 'link', 'add', TUNNEL, 'type', kind, ...addedWith(kind), ...ends);
    // Beside the pods' own networks: VXLAN needs a neighbour, and a packet of the node itself a source.
    ip('-n', node, 'address', 'add', `198.18.0.${number}/24`, 'dev', TUNNEL);
    if (kind === 'wireguard') this.wireguard(side);
    ip('-n', node, 'link', 'set', TUNNEL, 'up');
    ip('-n', node, 'route', 'replace', pods, ...(kind === 'vxlan' ? ['via', `198.18.0.${peer}`] : ['dev', TUNNEL]));
  }

  private wireguard(side: Side): void {
    const { peer } = SIDES[side];
    const other = this.keys[side === 'a' ? 'b' : 'a'];
    const args = ['wg', 'set', TUNNEL, 'private-key', '/dev/stdin', 'listen-port', WIREGUARD_PORT];
    const to = [
      'peer',
      other.publicKey,
      'endpoint',
      `192.0.2.${peer}:${WIREGUARD_PORT}`,
      'allowed-ips',
      '198.18.0.0/16',
    ];
    inside(this.namespace(`node-${side}`), [...args, ...to], `${this.keys[side].privateKey}\n`);
  }
}

const addedWith = (kind: Kind): string[] => (kind === 'vxlan' ? ['id', '7', 'dstport', VXLAN_PORT] : []);

/** The raw 32 bytes of each half, in base64. */
function wireguardKeys(): { privateKey: string; publicKey: string } {
  const { d, x } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const [privateKey, publicKey] = [d!, x!].map((half) => Buffer.from(half, 'base64url').toString('base64'));
  return { privateKey: privateKey!, publicKey: publicKey! };
}

function veth([one, device]: [string, string], [other, peer]: [string, string], mtuBytes: number): void {
  const mtu = ['mtu', String(mtuBytes)];
  ip('-n', one, 'link', 'add', device, ...mtu, 'type', 'veth', 'peer', 'name', peer, ...mtu, 'netns', other);
  ip('-n', one, 'link', 'set', device, 'up');
  ip('-n', other, 'link', 'set', peer, 'up');
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

function inside(namespace: string, command: string[], input = ''): void {
  execFileSync('ip', ['netns', 'exec', namespace, ...command], { input, stdio: ['pipe', 'ignore', 'inherit'] });
}

function works(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
