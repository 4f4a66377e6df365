import { execFileSync, spawn } from 'node:child_process';
import { interleaved, print } from './measure';

/**
 * The problem that this kit exists for, in figures: bytes through a VXLAN tunnel whose pods have the computed MTU, against
 * pods with the MTU of the network card, on a path that carries 1,500 bytes and says nothing about what it drops.
 *
 * Two nodes with jumbo network cards (9,000 bytes) hang on a bridge that drops larger frames than 1,500 bytes of IP, without
 * ICMP: a switch that nobody told. Each node has one pod behind a VXLAN device. Everything is in namespaces of this run.
 */
const NODE_MTU_BYTES = 9000;
const PATH_MTU_BYTES = 1500;
const LIMIT_SECONDS = 10;
const TRANSFER_BYTES = 8 * 1024 * 1024;

const names = { a: `swb-a-${process.pid}`, b: `swb-b-${process.pid}`, middle: `swb-m-${process.pid}` };

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

function build(): void {
  for (const name of Object.values(names)) ip('netns', 'add', name);
  ip('-n', names.middle, 'link', 'add', 'br0', 'mtu', String(NODE_MTU_BYTES), 'type', 'bridge');
  for (const [index, node] of [names.a, names.b].entries()) {
    const port = `port${index}`;
    ip(
      '-n',
      node,
      'link',
      'add',
      'eth0',
      'mtu',
      String(NODE_MTU_BYTES),
      'type',
      'veth',
      'peer',
      'name',
      port,
      'netns',
      names.middle,
    );
    ip('-n', names.middle, 'link', 'set', port, 'master', 'br0', 'mtu', String(NODE_MTU_BYTES), 'up');
    ip('-n', node, 'addr', 'add', `192.0.2.${index + 1}/24`, 'dev', 'eth0');
    ip('-n', node, 'link', 'set', 'eth0', 'up');
    // Real links carry what the wire carries: without this a veth hands 64 KB segments across in one piece.
    for (const [namespace, device] of [
      [node, 'eth0'],
      [names.middle, port],
    ] as const) {
      execFileSync(
        'ip',
        ['netns', 'exec', namespace, 'ethtool', '-K', device, 'tso', 'off', 'gso', 'off', 'gro', 'off'],
        { stdio: 'ignore' },
      );
    }
    ip(
      '-n',
      node,
      'link',
      'add',
      'vx0',
      'type',
      'vxlan',
      'id',
      '7',
      'dstport',
      '4789',
      'local',
      `192.0.2.${index + 1}`,
      'remote',
      `192.0.2.${2 - index}`,
    );
    ip('-n', node, 'addr', 'add', `198.18.0.${index + 1}/24`, 'dev', 'vx0');
    ip('-n', node, 'link', 'set', 'vx0', 'up');
  }
  ip('-n', names.middle, 'link', 'set', 'br0', 'up');
  execFileSync('ip', ['netns', 'exec', names.middle, 'nft', '-f', '-'], {
    input: `table bridge path {
  chain forward {
    type filter hook forward priority 0;
    meta length > ${PATH_MTU_BYTES} drop
  }
}
`,
  });
}

function remove(): void {
  for (const name of Object.values(names)) {
    try {
      ip('netns', 'del', name);
    } catch {
      // It was never made.
    }
  }
}

/** MB/s through the tunnel with the pods' end at `mtuBytes`; what had arrived when the limit ran out counts. */
async function transfer(mtuBytes: number, signal: AbortSignal): Promise<number> {
  for (const node of [names.a, names.b]) ip('-n', node, 'link', 'set', 'vx0', 'mtu', String(mtuBytes));
  const receive = `const s=require("net").createServer(c=>{let n=0;c.on("data",d=>{n+=d.length;console.log(n)})});s.listen(7777,"198.18.0.2",()=>console.log(0))`;
  const send = `const c=require("net").connect(7777,"198.18.0.2");c.write(Buffer.alloc(${TRANSFER_BYTES}))`;
  const receiver = spawn('ip', ['netns', 'exec', names.b, process.execPath, '-e', receive], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let received = 0;
  let sender: ReturnType<typeof spawn> | undefined;
  try {
    return await new Promise<number>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      let start = 0n;
      const elapsed = () => Number(process.hrtime.bigint() - start) / 1e9;
      let limit: NodeJS.Timeout | undefined;
      receiver.stdout.on('data', (data: Buffer) => {
        received = Number(data.toString().trim().split('\n').at(-1));
        if (sender === undefined) {
          start = process.hrtime.bigint();
          limit = setTimeout(() => resolve(received / 1e6 / elapsed()), LIMIT_SECONDS * 1000);
          sender = spawn('ip', ['netns', 'exec', names.a, process.execPath, '-e', send], { stdio: 'ignore' });
        } else if (received >= TRANSFER_BYTES) {
          clearTimeout(limit);
          resolve(received / 1e6 / elapsed());
        }
      });
    });
  } finally {
    sender?.kill('SIGKILL');
    receiver.kill('SIGKILL');
  }
}

export async function benchTunnel(rounds: number, signal: AbortSignal): Promise<void> {
  try {
    build();
    const rows = await interleaved(
      [
        { name: `computed pod MTU ${PATH_MTU_BYTES - 50}`, run: () => transfer(PATH_MTU_BYTES - 50, signal) },
        { name: `wrong pod MTU ${PATH_MTU_BYTES}`, run: () => transfer(PATH_MTU_BYTES, signal) },
      ],
      rounds,
      signal,
    );
    print(`${TRANSFER_BYTES / 1024 / 1024} MiB through VXLAN, ICMP filtered, at most ${LIMIT_SECONDS} s`, 'MB/s', rows);
  } finally {
    remove();
  }
}
