/**
 * Which accelerator a guest really boots with here, and how fast this machine emulates.
 * /dev/kvm alone proves nothing: nested and para-virtual hosts offer it and then hang or abort a guest.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { cacheDir } from '../../components/cacheDir';
import { LabError, run } from './run';

export interface AcceleratorFacts {
  /** libvirt's domain type. */
  domainType: 'kvm' | 'qemu';
  /** Seconds from starting QEMU to the end of the test boot with that type. */
  bootSeconds: number;
  /**
   * Multiplies time limits: 1 on the machine the kit's limits were measured on, larger on slower ones, never below 1.
   */
  speedFactor: number;
  /** Why not kvm, in words; absent with kvm. */
  reason?: string;
}

/** The test boot under emulation on the machine of the measurement: two cores of an AMD EPYC, QEMU 7.2. */
const referenceBootSeconds = 2.1;
/** A guest under KVM is through in a second or two; one that is not after this long hangs. */
const kvmLimitMilliseconds = 15_000;
const emulationLimitMilliseconds = 180_000;
/** Without a root file system this is where every Linux ends: by then it has run a few hundred million instructions. */
const endOfBoot = 'Unable to mount root fs';

export function speedFactorFrom(bootSeconds: number): number {
  return Math.max(1, Math.round((bootSeconds / referenceBootSeconds) * 100) / 100);
}

async function testBoot(domainType: 'kvm' | 'qemu', kernel: string): Promise<{ seconds?: number; reason: string }> {
  const limit = domainType === 'kvm' ? kvmLimitMilliseconds : emulationLimitMilliseconds;
  const accelerator = domainType === 'kvm' ? ['-accel', 'kvm', '-cpu', 'host'] : ['-accel', 'tcg', '-cpu', 'max'];
  const start = process.hrtime.bigint();
  const machine = ['-machine', 'q35', '-smp', '1', '-m', '256', '-nodefaults', '-display', 'none', '-serial', 'stdio'];
  const result = await run(
    'qemu-system-x86_64',
    [...accelerator, ...machine, '-no-reboot', '-kernel', kernel, '-append', 'console=ttyS0 panic=-1'],
    { timeoutMilliseconds: limit, allowFailure: true },
  ).catch((error: LabError) => ({ exitCode: 1, stdout: '', stderr: error.message }));
  if (result.stdout.includes(endOfBoot)) return { seconds: Number(process.hrtime.bigint() - start) / 1e9, reason: '' };
  const lines = result.stderr.trim().split('\n');
  const told = lines.find((line) => /error|failed|took longer/i.test(line)) ?? lines[0];
  return { reason: told.includes('took longer') ? `a guest hangs with it (${limit / 1000} s)` : told.slice(0, 200) };
}

/**
 * The answer is kept in the cache for this kernel, processor and emulator: a new one of any asks again.
 * @param kernel path of the lab image's kernel
 */
export async function detectAccelerator(kernel: string): Promise<AcceleratorFacts> {
  const emulator = (await run('qemu-system-x86_64', ['--version'])).stdout.split('\n')[0];
  const subject = [os.release(), os.version(), os.cpus()[0]?.model, os.cpus().length, emulator].join('\n');
  const key = createHash('sha256').update(subject).digest('hex').slice(0, 16);
  const file = path.join(cacheDir(), 'accelerator', `${key}.json`);
  const cached = await fs.readFile(file, 'utf8').catch(() => undefined);
  if (cached !== undefined) return JSON.parse(cached) as AcceleratorFacts;

  const facts = await measure(kernel);
  await fs.mkdir(path.dirname(file), { recursive: true });
  await fs.writeFile(`${file}.${process.pid}`, JSON.stringify(facts, undefined, 2) + '\n');
  await fs.rename(`${file}.${process.pid}`, file);
  return facts;
}

async function measure(kernel: string): Promise<AcceleratorFacts> {
  const device = await fs.access('/dev/kvm', fs.constants.R_OK | fs.constants.W_OK).then(
    () => true,
    () => false,
  );
  const kvm = device ? await testBoot('kvm', kernel) : { reason: '/dev/kvm is not there or not ours to open' };
  if (kvm.seconds !== undefined) {
    return { domainType: 'kvm', bootSeconds: kvm.seconds, speedFactor: speedFactorFrom(kvm.seconds) };
  }
  const emulated = await testBoot('qemu', kernel);
  if (emulated.seconds === undefined) {
    throw new LabError(`no guest boots here: kvm: ${kvm.reason}; emulation: ${emulated.reason}`);
  }
  return {
    domainType: 'qemu',
    bootSeconds: emulated.seconds,
    speedFactor: speedFactorFrom(emulated.seconds),
    reason: kvm.reason,
  };
}
