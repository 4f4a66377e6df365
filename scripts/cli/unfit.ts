import { bash } from '../../components/nodes/bash';
import { AS_ROOT } from '../../components/nodes/prep/asRoot';
import { CERTIFICATES } from '../../components/nodes/prep/certificates';
import { INITIALISED_FILE } from '../../components/plan/clusterPaths';
import { runScript } from '../../components/ssh/script';
import type { SshSession } from '../../components/ssh/session';
import { badInput } from './errors';

/** Why a machine of a cluster cannot do what an `up` wants of it, seen before anything is changed. */
export interface Unfit {
  name: string;
  /** Of a control-plane machine: files whose certificate has expired or cannot be read. */
  expired: string[];
  /** What its clock says, where that is wrong; its certificates were judged by it, and are no finding then. */
  clock: { machine: Date; here: Date } | null;
}

/**
 * Within it, machines accept what the kit and the cluster sign: certificates of kubeadm, of the controller manager and of the
 * kit are valid from 5 minutes before they are made.
 */
const CLOCK_TOLERANCE_MILLISECONDS = 5 * 60_000;
/** A dozen programs, on an emulated machine that has just started. */
const LIMIT_SECONDS = 120;

const LOOK = `${AS_ROOT}INITIALISED=${INITIALISED_FILE}
${CERTIFICATES}${bash`
main() {
  EXPIRED=()
  printf '%(%s)T\n' -1
  [ ! -e "$INITIALISED" ] || expired_certificates
  [ "\${#EXPIRED[@]}" -eq 0 ] || printf '%s\n' "\${EXPIRED[@]}"
}
main </dev/null
`}`;

/** Null where nothing is wrong. Throws ScriptError where the machine cannot be looked at. */
export async function unfitness(name: string, session: SshSession): Promise<Unfit | null> {
  const before = Date.now();
  const [seconds, ...expired] = (await runScript(session, LOOK, { name, timeoutSeconds: LIMIT_SECONDS }))
    .trim()
    .split('\n');
  return judge(name, Number(seconds) * 1000, { before, after: Date.now() }, expired);
}

/** Its clock was read at some time between these two. */
export function judge(
  name: string,
  machine: number,
  here: { before: number; after: number },
  expired: string[],
): Unfit | null {
  const wrong =
    machine < here.before - CLOCK_TOLERANCE_MILLISECONDS || machine > here.after + CLOCK_TOLERANCE_MILLISECONDS;
  if (wrong) return { name, expired: [], clock: { machine: new Date(machine), here: new Date(here.after) } };
  return expired.length === 0 ? null : { name, expired, clock: null };
}

/** All of them at once. */
export function refuseUnfit(site: string, unfit: Unfit[]): void {
  if (unfit.length === 0) return;
  const expired = unfit.some((one) => one.expired.length > 0);
  throw badInput(
    [
      ...unfit.map(({ name, clock, expired: files }) =>
        clock === null
          ? `${name}: expired: ${files.join(', ')}`
          : `${name}: its clock says ${second(clock.machine)}, and that of this machine ${second(clock.here)}: set the one that is wrong (sitewright ssh ${site} ${name}); certificates are judged by it`,
      ),
      `No machine was changed.${expired ? ` sitewright certs ${site} --renew renews what has expired; then run again` : ''}`,
    ].join('\n'),
  );
}

/** `2026-03-01T12:00:00Z`. */
const second = (date: Date) => date.toISOString().replace(/\.\d+/, '');
