import { readdirSync, readFileSync } from 'node:fs';

const EVERY_MILLISECONDS = 50;
const PAGE_BYTES = 4096;

/**
 * Looks at a process and everything below it until it is stopped, and tells the most memory that all of them had at one
 * time, in bytes: resident, so that what two of them share counts twice.
 */
export function watchMemory(root: number): { peakBytes(): number } {
  let peakBytes = 0;
  const look = () => (peakBytes = Math.max(peakBytes, residentBytes(root)));
  look();
  const timer = setInterval(look, EVERY_MILLISECONDS);
  return {
    peakBytes() {
      clearInterval(timer);
      return peakBytes;
    },
  };
}

function residentBytes(root: number): number {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    // After the name of the program, which may hold anything: state, then the parent.
    const parent = Number(read(pid, 'stat').split(') ').pop()?.split(' ')[1]);
    if (Number.isInteger(pid) && !Number.isNaN(parent)) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  let bytes = 0;
  for (const waiting = [root]; waiting.length > 0;) {
    const pid = waiting.pop()!;
    bytes += Number(read(pid, 'statm').split(' ')[1] ?? 0) * PAGE_BYTES;
    waiting.push(...(children.get(pid) ?? []));
  }
  return bytes;
}

/** Empty for a process that is gone. */
function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
