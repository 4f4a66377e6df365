import { setTimeout as sleep } from 'node:timers/promises';
import type { RunOptions } from '../agent/awaitSsh';
import { SshSession, type SshTarget } from '../ssh/session';
import type { BgpProbe } from './calicoFacts';
import { bgpProblems } from './calicoJudge';
import { BIRD_SOCKETS, calicoNodeProgram } from './calicoNodeProgram';
import { asRoot } from './kubectl';
import { bgpSessions } from './parse';
import { POLL_MILLISECONDS } from './probeRun';

/** Waits until every node has its sessions with the route reflectors: what ends the mesh before would end its routes. */
export interface AwaitReflectorsRequest {
  kind: 'await-reflectors';
  /** Of the site. */
  name: string;
  /** Every member. */
  nodes: { name: string; target: SshTarget; incarnation?: string }[];
  bgp: BgpProbe;
  limitSeconds: number;
}

export interface AwaitReflectorsResult {
  kind: 'reflectors';
}

const COMMAND_SECONDS = 60;
const QUESTION = JSON.stringify({ devices: [], wireguard: [], birds: BIRD_SOCKETS });

/** Throws at the limit, with every session that is not there. */
export async function awaitReflectors(
  { nodes, bgp, limitSeconds }: AwaitReflectorsRequest,
  { signal, onProgress }: RunOptions,
): Promise<AwaitReflectorsResult> {
  const end = Date.now() + limitSeconds * 1000;
  let problems: string[];
  do {
    const found = await Promise.all(
      nodes.map(async ({ name, target }) => {
        const session = await SshSession.connect(target, { signal });
        try {
          const command = asRoot(target, `python3 - '${QUESTION}'`);
          const opts = { stdin: calicoNodeProgram, timeoutSeconds: COMMAND_SECONDS, signal };
          const { code, stdout, stderr } = await session.exec(command, opts);
          if (code !== 0) throw new Error(`${name}: ${stderr.trim().split('\n').pop() ?? ''}`);
          const { birds } = JSON.parse(stdout) as { birds: string | null };
          return [...bgpProblems(name, birds === null ? null : bgpSessions(birds), bgp)].map(
            (line) => `${name}: ${line}`,
          );
        } finally {
          session.end();
        }
      }),
    );
    problems = found.flat();
    if (problems.length === 0) return { kind: 'reflectors' };
    onProgress?.(`${problems.length} BGP sessions with route reflectors are not there yet: ${problems[0]}`);
    await sleep(POLL_MILLISECONDS, undefined, { signal });
  } while (Date.now() < end);
  throw new Error(
    `the mesh of BGP sessions stays: after ${limitSeconds} s the route reflectors are not reached by every node:\n${problems.join('\n')}`,
  );
}
