import { expectExit, ipv4Only, Lab, type NodeName, NODES, type Running, until } from './lab';
import { story } from './story';

/**
 * One story on the real engine and real virtual machines: each case goes on where the one before it ended. The cases are
 * listed in cases.txt; one that does not run is a failure.
 */

/** Emulated machines are slow: no case is judged by time, this only ends one that hangs. */
const CASE_LIMIT_MILLISECONDS = 25 * 60 * 1000;
const STEP_LIMIT_SECONDS = 600;
const NODE_NAMES = Object.keys(NODES) as NodeName[];

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

const SITE = 'e2e';
const lab = new Lab(SITE);
let before: unknown;
const step = story();

/** Starts an `up` and ends it like a crash once `reached` holds. */
async function crashedUp(point: string, reached: (up: Running) => boolean | Promise<boolean>): Promise<void> {
  const up = lab.start('up', SITE, '--yes');
  await until(point, STEP_LIMIT_SECONDS, async () => {
    if (up.ended) throw new Error(`up ended before it reached: ${point}\n${up.result.output}`);
    return reached(up);
  });
  await up.killTree();
  // A lock is never cleared silently: the next run would say so and name this command.
  expectExit(await lab.sitewright('unlock', SITE), 0);
}

const printed = (pattern: RegExp) => (up: Running) => pattern.test(up.result.output);

async function state(): Promise<{ resources: Record<string, unknown>[]; pending: unknown[] }> {
  const { deployment } = JSON.parse(await lab.exportState()) as {
    deployment: { resources: Record<string, unknown>[]; pending_operations?: unknown[] };
  };
  return { resources: deployment.resources, pending: deployment.pending_operations ?? [] };
}

const auditLogs = () => Promise.all(NODE_NAMES.map((node) => lab.ssh(node, 'sudo cat /var/log/sitewright/audit.log')));

async function rebooted(node: NodeName, command = 'systemctl reboot'): Promise<void> {
  const bootId = () => lab.ssh(node, 'cat /proc/sys/kernel/random/boot_id');
  const first = await bootId();
  // The connection drops with the machine: what counts is that another boot answers.
  await lab.ssh(node, `sudo ${command}`).catch(() => undefined);
  await until(`${node} is back`, STEP_LIMIT_SECONDS, async () => (await bootId().catch(() => first)) !== first);
  await lab.ssh(node, 'systemctl is-system-running --wait || true');
}

interface Changes {
  changes: { name: string; operation: string }[];
  counts: Record<string, number>;
}

async function changes(command: 'preview' | 'up'): Promise<Changes> {
  const result = await lab.sitewright(command, SITE, '--json', ...(command === 'up' ? ['--yes'] : []));
  expectExit(result, 0);
  return JSON.parse(result.stdout) as Changes;
}

beforeAll(async () => {
  await lab.host('down', '--name', SITE);
  before = await lab.inventory();
});

afterAll(async () => {
  await lab.host('down', '--name', SITE);
  lab.remove();
});

describe('the lab', () => {
  /** UUIDs of the domains that the runs which crashed made. */
  let defined: Record<string, string> = {};

  step('refuses a bad site file with its position and makes nothing', async () => {
    const good = lab.read();
    lab.edit((text) => text.replace(/^network:$/m, 'network:\n  routng: ipip'));
    const result = await lab.up();
    expectExit(result, 2);
    expect(result.stderr).toMatch(/sites\/e2e\.yaml:\d+:\d+ network\.routng: .*did you mean routing/);
    lab.edit(() => good);
    expect(await lab.inventory()).toEqual(before);
  });

  step('comes up as a host: namespace, libvirt, image', async () => {
    expectExit(await lab.host('up', '--name', SITE), 0);
    expect(await lab.domains()).toEqual({});
  });

  step('survives a crash of up at five points', async () => {
    await crashedUp('the base image is being stored', async () => (await lab.volumes()).length > 0);
    let first = {};
    await crashedUp('a machine is defined', async () => {
      first = await lab.domains();
      return Object.keys(first).length > 0;
    });
    await crashedUp(
      'both machines run',
      async () => (await lab.virsh('list', '--name')).trim().split('\n').length === 2,
    );
    defined = await lab.domains();
    expect(defined).toMatchObject(first);
    await crashedUp('a first connection was made', printed(/first connection: made/));
    // The path is bad from here on, so that the proof cannot end before the crash.
    expectExit(await lab.host('fault', SITE, 'set', 'mtu=1450', 'icmp=drop'), 0);
    await crashedUp('both nodes are prepared', printed(/preparation: made[^]*preparation: made/));
  });

  step('stops at the proof with a middle of 1450 and no ICMP, and reports 1450', async () => {
    const result = await lab.up();
    expectExit(result, 1);
    expect(result.output).toMatch(/192\.0\.2\.11 -> 192\.0\.2\.12: 1500 does not pass, 1450 does/);
    expect(result.output).toMatch(/something between them adds 50 bytes, as VXLAN does/);
  });

  step('reports 1451 when the middle is 1451', async () => {
    expectExit(await lab.host('fault', SITE, 'set', 'mtu=1451', 'icmp=drop'), 0);
    const result = await lab.up();
    expectExit(result, 1);
    expect(result.output).toMatch(/192\.0\.2\.11 -> 192\.0\.2\.12: 1500 does not pass, 1451 does/);
  });

  step('goes on when the path is put back, and ends as an uninterrupted run', async () => {
    expectExit(await lab.host('fault', SITE, 'clear'), 0);
    const result = await lab.up();
    expectExit(result, 0);
    expect(result.stdout).toMatch(/MTU budget/);
    expect(result.stdout).toMatch(/192\.0\.2\.11\/24/);

    expect((await state()).pending).toEqual([]);
    expect(Object.keys(defined)).toEqual(NODE_NAMES.map((node) => `${SITE}-${node}`));
    expect(await lab.domains()).toEqual(defined);
    const names = await lab.volumes();
    expect(names.filter((name) => !name.startsWith('sitewright-base-'))).toEqual([
      ...['e2e-lab1-etcd.raw', 'e2e-lab1-root.qcow2', 'e2e-lab1-seed.iso'],
      ...['e2e-lab2-root.qcow2', 'e2e-lab2-seed.iso'],
    ]);
  });

  step('has the planned values on its nodes', async () => {
    const sysctls = 'sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.netfilter.nf_conntrack_max';
    for (const node of NODE_NAMES) {
      expect((await lab.ssh(node, sysctls)).split('\n')).toEqual(['1', '1', '131072']);
      const link = await lab.ssh(node, `ip -o link show dev $(ip -o -4 addr | awk '/${NODES[node]}/{print $2}')`);
      expect(link).toContain(' mtu 1500 ');
      const modules = await lab.ssh(node, 'lsmod');
      for (const name of ['overlay', 'br_netfilter', 'nf_conntrack', 'ip_vs', 'ip_vs_rr']) {
        expect(modules).toMatch(new RegExp(`^${name} `, 'm'));
      }
    }
  });

  step('changes nothing on a second up', async () => {
    const logs = await auditLogs();
    const { changes: changed, counts } = await changes('up');
    expect(changed).toEqual([]);
    expect(counts).toMatchObject({ create: 0, update: 0, replace: 0, delete: 0 });
    expect(counts.same).toBeGreaterThan(0);
    expect(await auditLogs()).toEqual(logs);
  });

  step('verifies again, and refuses a host key that differs', async () => {
    expectExit(await lab.sitewright('verify', SITE), 0);
    const key = '/etc/ssh/ssh_host_ed25519_key';
    const other = `mv ${key} ${key}.kept && ssh-keygen -q -t ed25519 -N "" -f ${key} && systemctl restart ssh`;
    await lab.ssh('lab2', `sudo sh -c '${other}'`);
    const result = await lab.sitewright('verify', SITE);
    expectExit(result, 1);
    expect(result.output).toMatch(/host key/i);
    await lab.ssh('lab2', `sudo sh -c 'mv ${key}.kept ${key} && systemctl restart ssh'`, 'any');
    await lab.ssh('lab2', 'true');
  });

  step('shows an added sysctl as the preparation of each node, applies it, and keeps it over a reboot', async () => {
    const updates = NODE_NAMES.map((node) => ({ name: `${SITE}-${node}-prepare`, operation: 'update' }));
    lab.edit((text) => `${text}\nnodePrep:\n  sysctls:\n    net.core.somaxconn: 8192\n`);
    expect((await changes('preview')).changes.map(({ name, operation }) => ({ name, operation }))).toEqual(updates);

    // Changed by hand meanwhile: the next preparation puts it back and says so on the node.
    await lab.ssh('lab1', 'sudo sysctl -q -w net.core.netdev_max_backlog=77');
    expect((await changes('up')).changes.map(({ name, operation }) => ({ name, operation }))).toEqual(updates);
    for (const node of NODE_NAMES) expect(await lab.ssh(node, 'sysctl -n net.core.somaxconn')).toBe('8192');
    expect(await lab.ssh('lab1', 'sysctl -n net.core.netdev_max_backlog')).toBe('5000');
    expect((await auditLogs())[0]).toMatch(/net\.core\.netdev_max_backlog.*77/);

    await rebooted('lab2');
    expect(await lab.ssh('lab2', 'sysctl -n net.core.somaxconn')).toBe('8192');
    expect(await lab.ssh('lab2', 'lsmod')).toMatch(/^br_netfilter /m);
    expect((await changes('up')).changes).toEqual([]);
  });

  step('proves VXLAN, then WireGuard, then IPIP, when the routing changes', async () => {
    lab.edit((text) => text.replace(/^network:$/m, 'network:\n  routing: vxlan'));
    expectExit(await lab.sitewright('up', SITE, '--yes'), 0);
    lab.edit((text) => text.replace('routing: vxlan', 'routing: vxlan\n  wireguard: true'));
    expectExit(await lab.sitewright('up', SITE, '--yes'), 0);
    // IP-in-IP carries IPv4 only.
    lab.edit((text) => ipv4Only(text.replace('routing: vxlan\n  wireguard: true', 'routing: ipip')));
    const result = await lab.sitewright('up', SITE, '--yes');
    expectExit(result, 0);
    expect(result.stdout).toMatch(/1480/);
  });

  step('refuses machines that another state made', async () => {
    const own = lab.read();
    lab.edit((text) => text.replace(/(url: file:\/\/\S+)/, '$1-other'));
    const first = await lab.domains();
    const result = await lab.sitewright('up', SITE, '--yes');
    expectExit(result, 1);
    expect(result.output).toMatch(/sitewright adopt e2e/);
    expect(await lab.domains()).toEqual(first);

    // The way out, where the other state is the lost one's successor.
    expectExit(await lab.sitewright('adopt', SITE), 0);
    expectExit(await lab.sitewright('up', SITE, '--yes'), 0);
    expect(await lab.domains()).toEqual(first);

    lab.edit(() => own);
    const names = (await changes('up')).changes.map(({ name }) => name);
    expect(names).toEqual([`${SITE}-identity`]);
  });

  step('stops cleanly on Ctrl-C and carries on', async () => {
    lab.edit((text) => text.replace('net.core.somaxconn: 8192', 'net.core.somaxconn: 4096'));
    const up = lab.start('up', SITE, '--yes');
    await until('up works on a node', STEP_LIMIT_SECONDS, () => up.ended || /lab[12]/.test(up.result.stderr));
    up.signal('SIGINT');
    const stopped = await up.done;
    expect([0, 1]).toContain(stopped.code);
    expectExit(await lab.sitewright('up', SITE, '--yes'), 0);
    for (const node of NODE_NAMES) expect(await lab.ssh(node, 'sysctl -n net.core.somaxconn')).toBe('4096');
  });

  step('survives a node that reboots while it is prepared', async () => {
    // A preparation that waits for the lock of another one is one that the reboot is certain to meet.
    const lock = '/run/sitewright.lock';
    await lab.ssh('lab2', `sudo systemd-run --quiet flock ${lock} sleep infinity`);
    await until('the lock is held', STEP_LIMIT_SECONDS, async () => {
      return (await lab.ssh('lab2', `sudo flock -n ${lock} true && echo free || echo held`)) === 'held';
    });
    lab.edit((text) => text.replace('net.core.somaxconn: 4096', 'net.core.somaxconn: 2048'));
    const up = lab.start('up', SITE, '--yes');
    await until('the preparation waits', STEP_LIMIT_SECONDS, async () => {
      if (up.ended) throw new Error(`up ended before lab2 was prepared:\n${up.result.output}`);
      return /^flock -w/m.test(await lab.ssh('lab2', 'ps -C flock -o args='));
    });
    // An orderly reboot would end the other one first, and the preparation would go on.
    await rebooted('lab2', 'reboot -ff');
    const cut = await up.done;
    expectExit(cut, 1);
    expect(cut.output).toMatch(/lab2, preparation:[^]*connection/);

    expectExit(await lab.sitewright('up', SITE, '--yes'), 0);
    for (const node of NODE_NAMES) expect(await lab.ssh(node, 'sysctl -n net.core.somaxconn')).toBe('2048');
    expect((await state()).pending).toEqual([]);
  });

  step('destroys everything it made', async () => {
    expectExit(await lab.sitewright('destroy', SITE, '--yes', '--confirm', SITE), 0);
    expect(await lab.domains()).toEqual({});
    expect(await lab.volumes()).toEqual([]);
  });

  step('leaves nothing after down', async () => {
    expectExit(await lab.down(), 0);
    expect(await lab.inventory()).toEqual(before);
  });
});
