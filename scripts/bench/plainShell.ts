import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PlainCluster } from './plainCluster';
import type { RecordedSteps } from './recordedSteps';

/** What a careful person would write by hand for the same site: plain ssh with pinned host keys, what can run side by side does. */

const WAIT_FOR_SSH_SECONDS = 900;

/**
 * Writes `up.sh`, which builds and proves the site, `reach.sh`, which logs in to each node once, and what they send.
 * Both run in the lab's network namespace, in the folder of the kit.
 * @param cluster what `up.sh` makes of the proved machines; null: nothing
 */
export function writePlainShell(
  folder: string,
  steps: RecordedSteps,
  cluster: PlainCluster | null,
): { up: string; reach: string } {
  mkdirSync(folder, { mode: 0o700 });
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const [first] = steps.machines;
  // OpenSSH refuses a key without its final line end, which stacks do not keep.
  write('key', `${first!.login.privateKey.trimEnd()}\n`);
  write('known_hosts', steps.machines.map(({ login }) => `${login.host} ${login.hostKey}\n`).join(''));
  write('base-image', steps.baseImage);
  if (steps.bundleImage !== null) write('bundle-image', steps.bundleImage);
  for (const { name, make, prepare } of steps.machines) {
    write(`${name}.make`, make);
    write(`${name}.prepare`, prepare);
  }
  steps.nodeProofs.forEach((request, index) => write(`node-${index}.proof`, request));
  steps.pairProofs.forEach((request, index) => write(`pair-${index}.proof`, request));

  const at = ({ login }: RecordedSteps['machines'][number]) => `-p ${login.port} ${login.user}@${login.host}`;
  const atName = (name: string) => at(steps.machines.find((machine) => machine.name === name)!);
  const clusterLines = ({ nodes, init, wait, controlPlane, workers }: PlainCluster) => {
    for (const [name, script] of Object.entries(nodes)) write(`${name}.node`, script);
    write('init', init);
    write('wait', wait);
    return `
as_root() {
  local script=$1
  shift
  log_in "$@" 'exec sudo -n bash -s' <"$data/$script" >/dev/null
  echo "$script: done"
}
${Object.keys(nodes)
  .map((name) => `as_root ${name}.node ${atName(name)} & running+=($!)`)
  .join('\n')}
all
as_root init ${atName(controlPlane)}
join=$(log_in ${atName(controlPlane)} 'sudo -n kubeadm token create --print-join-command')
${workers.map((name) => `log_in ${atName(name)} 'exec sudo -n bash -s' <<<"$join" >/dev/null & running+=($!)`).join('\n')}
all
as_root wait ${atName(controlPlane)}
`;
  };
  const common = `set -euo pipefail
data='${folder}'
log_in() {
  ssh -i "$data/key" -o UserKnownHostsFile="$data/known_hosts" -o StrictHostKeyChecking=yes -o BatchMode=yes -o ConnectTimeout=30 "$@"
}
`;
  const up = write(
    'up.sh',
    `${common}
machine() {
  local name=$1
  shift
  bash -s <"$data/$name.make"
  until log_in "$@" true 2>/dev/null; do
    [ "$SECONDS" -lt ${WAIT_FOR_SSH_SECONDS} ] || { echo "$name does not answer" >&2; exit 1; }
    sleep 1
  done
  echo "$name: answers"
  log_in "$@" 'exec bash -s' <"$data/$name.prepare" >/dev/null
  echo "$name: prepared"
}
prove() {
  node -e 'require("sitewright/agent").main()' <"$data/$1.proof" >/dev/null
  echo "$1: proved"
}
running=()
all() {
  local one
  for one in "\${running[@]}"; do wait "$one"; done
  running=()
}

bash -s <"$data/base-image"
${steps.bundleImage === null ? '' : 'bash -s <"$data/bundle-image"'}
${steps.machines.map((machine) => `machine ${machine.name} ${at(machine)} & running+=($!)`).join('\n')}
all
${steps.nodeProofs.map((_, index) => `prove node-${index} & running+=($!)`).join('\n')}
all
${steps.pairProofs.map((_, index) => `prove pair-${index}`).join('\n')}
${cluster === null ? '' : clusterLines(cluster)}`,
  );
  const reach = write(
    'reach.sh',
    `${common}${steps.machines.map((machine) => `log_in ${at(machine)} true`).join('\n')}\n`,
  );
  return { up, reach };
}
