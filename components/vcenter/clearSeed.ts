import { VcenterError } from './errors';
import type { Credentials } from './login';
import { retrieveOne } from './properties';
import { childNodes, children, escapeXml, referenceOf, textAt, textOf, VcenterSession, type Reference } from './soap';
import type { VcenterTrust } from './trust';

/** What cloud-init and the tools leave in place of a value that was taken away. */
const CLEARED = new Set(['', '---']);
const TASK_LIMIT_SECONDS = 300;
const POLL_SECONDS = 1;

/**
 * Takes keys of a machine's extra configuration away, and reads it again to see that they are gone. cloud-init redacts what
 * it has read in the running machine only: a power cycle would bring it back.
 * @param uuid BIOS UUID of the machine
 */
export async function clearSeed(
  trust: VcenterTrust,
  credentials: Credentials,
  uuid: string,
  keys: string[],
): Promise<void> {
  const session = await VcenterSession.open(trust, credentials);
  try {
    const parameters = `<uuid>${escapeXml(uuid)}</uuid><vmSearch>true</vmSearch><instanceUuid>false</instanceUuid>`;
    const [found] = children(await session.call(session.service.searchIndex, 'FindByUuid', parameters), 'returnval');
    if (found === undefined) throw new VcenterError(trust.server, `there is no machine with the UUID ${uuid}`);
    const machine = referenceOf(found);
    const there = await left(session, machine, keys);
    if (there.length === 0) return;
    const options = there
      .map(
        (key) =>
          `<extraConfig xsi:type="OptionValue"><key>${escapeXml(key)}</key><value xsi:type="xsd:string" xmlns:xsd="http://www.w3.org/2001/XMLSchema"></value></extraConfig>`,
      )
      .join('');
    const [task] = children(await session.call(machine, 'ReconfigVM_Task', `<spec>${options}</spec>`), 'returnval');
    await ended(session, referenceOf(task ?? ''));
    const still = await left(session, machine, keys);
    if (still.length > 0) {
      throw new VcenterError(
        trust.server,
        `${still.join(', ')} of the machine ${uuid} could not be cleared: remove them by hand`,
      );
    }
  } finally {
    await session.end();
  }
}

async function left(session: VcenterSession, machine: Reference, keys: string[]): Promise<string[]> {
  const config = (await retrieveOne(session, machine, ['config.extraConfig'])).get('config.extraConfig');
  const options = config === undefined || typeof config === 'string' ? [] : childNodes(config, 'OptionValue');
  return options
    .filter(
      (option) =>
        keys.includes(textAt(option, 'key') ?? '') && !CLEARED.has(textOf(children(option, 'value')[0]).trim()),
    )
    .map((option) => textAt(option, 'key')!);
}

async function ended(session: VcenterSession, task: Reference): Promise<void> {
  for (let waited = 0; ; waited += POLL_SECONDS) {
    const values = await retrieveOne(session, task, ['info.state', 'info.error']);
    const state = textOf(values.get('info.state'));
    if (state === 'success') return;
    if (state === 'error') {
      const error = values.get('info.error');
      const message = error === undefined || typeof error === 'string' ? undefined : textAt(error, 'localizedMessage');
      throw new VcenterError(session.server, `the seed could not be cleared: ${message ?? 'the task failed'}`);
    }
    if (waited >= TASK_LIMIT_SECONDS) {
      throw new VcenterError(session.server, `the seed was not cleared within ${TASK_LIMIT_SECONDS} seconds`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_SECONDS * 1000));
  }
}
