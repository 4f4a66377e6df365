import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseImageDeleteScript, baseImageScript } from '../../components/machines/baseImageScript';
import { FINISH_SCRIPT, RECEIVE_SCRIPT, SURVEY_SCRIPT } from '../../components/machines/bundleCopyScript';
import { bundleImageScript, receiveBundleImageScript } from '../../components/machines/bundleImageScript';
import {
  machineDeleteScript,
  machineScript,
  type MachineScriptSettings,
} from '../../components/machines/machineScript';
import { instanceId } from '../../components/machines/instanceId';
import { deriveHostKey } from '../../components/secrets/hostKey';
import { hostKeySeedBase64, image, imageWithKernel, kvmPlan, node, remoteHostKey } from './fixtures';
import { expectGolden } from './golden';

const controlPlane = node('cp1', 'control-plane');
const settings: MachineScriptSettings = {
  site: 'acme',
  stampId: '4b1d',
  node: controlPlane,
  kvm: kvmPlan,
  image: imageWithKernel,
  seed: { authorizedKey: remoteHostKey, hostKey: deriveHostKey(hostKeySeedBase64, 'cp1') },
  bundle: null,
};
const bundle = { id: '12'.repeat(32), isoSha256: '34'.repeat(32) };
const worker: MachineScriptSettings = {
  ...settings,
  node: { ...controlPlane, kvm: { ...controlPlane.kvm!, etcdDiskBytes: null, attach: { libvirtNetwork: 'lab' } } },
};

describe('rendered text', () => {
  const scripts: [string, string][] = [
    ['machine.sh', machineScript(settings)],
    ['machine-bundle.sh', machineScript({ ...settings, bundle })],
    ['bundle-image.sh', bundleImageScript(kvmPlan.hypervisors[0], bundle, { site: 'acme', stampId: '4b1d' })],
    [
      'bundle-image-receive.sh',
      receiveBundleImageScript(
        kvmPlan.hypervisors[1],
        bundle,
        { site: 'acme', stampId: '4b1d' },
        { isoBytes: 9, offset: 4 },
      ),
    ],
    ['bundle-copy-survey.sh', SURVEY_SCRIPT],
    ['bundle-copy-receive.sh', RECEIVE_SCRIPT],
    ['bundle-copy-finish.sh', FINISH_SCRIPT],
    ['machine-delete.sh', machineDeleteScript(settings)],
    ['base-image.sh', baseImageScript(kvmPlan.hypervisors[0], image)],
    ['base-image-delete.sh', baseImageDeleteScript(kvmPlan.hypervisors[0], 'acme', '4b1d')],
  ];
  test.each(scripts)('%s', (name, script) => {
    expectGolden(name, script);
    expect(spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' }).stderr).toBe('');
  });
});

// Debian's package shellcheck; where it is missing, the goldens still hold what was checked.
const hasShellcheck = spawnSync('shellcheck', ['--version']).status === 0;
(hasShellcheck ? test : test.failing)('shellcheck passes the scripts that bring a bundle', () => {
  const script = bundleImageScript(kvmPlan.hypervisors[0], bundle, { site: 'acme', stampId: '4b1d' });
  for (const text of [machineScript({ ...settings, bundle }), script, SURVEY_SCRIPT, RECEIVE_SCRIPT, FINISH_SCRIPT]) {
    const args = ['--shell=bash', '--severity=warning', '--exclude=SC2034,SC2154', '-'];
    expect(spawnSync('shellcheck', args, { input: text, encoding: 'utf8' }).stdout).toBe('');
  }
});

test('the definition of a machine, and so its fingerprint, is the same with a bundle and without', () => {
  const definition = (script: string) => /^domainXml='[^']*'/m.exec(script)![0];
  expect(definition(machineScript({ ...settings, bundle }))).toBe(definition(machineScript(settings)));
});

test('the cache of the engine is found at run time, and only for a hypervisor on its machine', () => {
  const remote = { ...controlPlane, kvm: { ...controlPlane.kvm!, hypervisor: 'hv2' } };
  expect(machineScript({ ...settings, bundle })).toContain(
    'SITEWRIGHT_CACHE=${XDG_CACHE_HOME:-$SITEWRIGHT_CACHE/.cache}/sitewright;',
  );
  for (const script of [machineScript(settings), machineScript({ ...settings, node: remote, bundle })])
    expect(script).not.toContain('SITEWRIGHT_CACHE');
});

test('the instance id of a vSphere machine is of version 5, stable, and another one for each site, machine and state', () => {
  const id = instanceId('acme', 'cp1', '4b1d');
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(instanceId('acme', 'cp1', '4b1d')).toBe(id);
  const others = [instanceId('acme', 'cp2', '4b1d'), instanceId('oslo', 'cp1', '4b1d'), instanceId('acme', 'cp1', '5')];
  expect(new Set([id, ...others]).size).toBe(4);
});

/** A hypervisor of stand-ins: a virsh that answers from files, and an id that says root. */
describe('on a hypervisor', () => {
  let folder: string;
  let pool: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hypervisor-'));
    pool = join(folder, 'pool');
    mkdirSync(pool);
    answer('uri', 'qemu:///system');
    answer('pool-dumpxml default', `<pool type='dir'>\n  <target>\n    <path>${pool}</path>\n  </target>\n</pool>`);
    answer('pool-info default', 'State:          running');
    answer('pool-list --all --name', 'default');
    answer('net-info lab', 'Active:         yes');
    executable('id', 'echo 0');
    executable('qemu-img', 'echo "virtual size: 30 GiB (32212254720 bytes)"');
    executable(
      'virsh',
      [
        'shift 3',
        `echo "$*" >>${folder}/calls`,
        `if [ "$1" = define ]; then cat >${folder}/defined; fi`,
        `file=${folder}/answers/$(printf '%s' "$*" | tr '/ :' '___')`,
        'if [ -e "$file" ]; then cat "$file"; else echo "error: no $*" >&2; exit 1; fi',
      ].join('\n'),
    );
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function answer(question: string, text: string) {
    mkdirSync(join(folder, 'answers'), { recursive: true });
    writeFileSync(join(folder, 'answers', question.replace(/[/ :]/g, '_')), `${text}\n`);
  }
  function executable(name: string, body: string) {
    mkdirSync(join(folder, 'bin'), { recursive: true });
    writeFileSync(join(folder, 'bin', name), `#!/bin/bash\n${body}\n`);
    chmodSync(join(folder, 'bin', name), 0o755);
  }
  function run(script: string) {
    const env = { ...process.env, PATH: `${folder}/bin:${process.env.PATH}` };
    const { stderr, status } = spawnSync('bash', ['-s'], { input: script, env, encoding: 'utf8' });
    return { status, lastLine: stderr.trim().split('\n').pop()! };
  }
  const calls = () => (existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8') : '');
  const changes = () => calls().match(/^(define|start|destroy|undefine|blockresize).*/gm) ?? [];
  function existing(stamp: string | null) {
    answer('dumpxml --inactive acme-cp1', "<domain type='kvm'>\n  <os>\n  </os>\n</domain>");
    if (stamp !== null) answer('metadata acme-cp1 urn:sitewright:machine:1 --config', stamp);
  }
  function refused(script: string, ...words: string[]) {
    const { status, lastLine } = run(script);
    for (const word of words) expect(lastLine).toContain(word);
    expect({ status, changes: changes() }).toEqual({ status: 1, changes: [] });
  }

  test('libvirt that does not answer is named, with what to do', () => {
    rmSync(join(folder, 'answers', 'uri'));
    refused(machineScript(worker), 'libvirt is not running on hv1', 'systemctl start libvirtd');
  });

  test('a missing pool and a missing network are reported together', () => {
    rmSync(join(folder, 'answers', 'pool-dumpxml_default'));
    rmSync(join(folder, 'answers', 'net-info_lab'));
    refused(machineScript(worker), 'no storage pool default (there is: default)', 'no active libvirt network lab');
  });

  test('a pool that does not run is reported', () => {
    answer('pool-info default', 'State:          inactive');
    refused(machineScript(worker), 'pool default is not active', 'pool-start default');
  });

  test('a full pool is reported before anything is made', () => {
    executable('df', 'echo header; echo "x 1 1 1073741824 1 /"');
    refused(machineScript(worker), 'storage pool default is full', 'cp1 need 20GiB', '1.0GiB are free');
  });

  test('a machine of another state is refused with the way out', () => {
    existing('<machine site="acme" machine="cp1" hypervisor="hv1" stamp="other"/>');
    refused(machineScript(worker), 'another state of the site acme (other', 'sitewright adopt acme', 'virsh -c');
  });

  test('a machine of another site and a domain without a stamp are refused', () => {
    existing('<machine site="acme-cp1" machine="x" hypervisor="hv1" stamp="4b1d"/>');
    refused(machineScript(worker), 'is the machine x of the site acme-cp1', 'another name');
    rmSync(join(folder, 'answers'), { recursive: true });
    answer('uri', '');
    answer('pool-dumpxml default', `<pool type='dir'>\n    <path>${pool}</path>\n</pool>`);
    answer('pool-info default', 'State:          running');
    answer('net-info lab', 'Active:         yes');
    existing(null);
    refused(machineScript(worker), 'did not make');
  });

  test('a volume without its domain is nobody we know', () => {
    writeFileSync(join(pool, 'acme-cp1-root.qcow2'), '');
    refused(machineScript(worker), 'acme-cp1-root.qcow2 is there, but its domain acme-cp1 is not');
  });

  test('a disk never shrinks', () => {
    existing('<machine site="acme" machine="cp1" hypervisor="hv1" stamp="4b1d"/>');
    writeFileSync(join(pool, 'acme-cp1-root.qcow2'), '');
    refused(machineScript(worker), 'root disk of cp1 has 30GiB and cannot shrink to 20GiB');
  });

  test('a new machine has a UUID of its own each time, one that is there keeps what it has', () => {
    const path = join(folder, 'image');
    writeFileSync(path, 'an image');
    const sha256 = createHash('sha256').update('an image').digest('hex');
    const uuid = () => {
      rmSync(join(folder, 'defined'), { force: true });
      run(machineScript({ ...worker, image: { ...image, path, sha256 } }));
      return /^ {2}<uuid>(.*)<\/uuid>$/m.exec(readFileSync(join(folder, 'defined'), 'utf8'))?.[1];
    };
    executable('qemu-img', 'echo "file format: qcow2"; echo "virtual size: 20 GiB (21474836480 bytes)"');
    const [first, second] = [uuid(), uuid()];
    expect(first).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(second).not.toBe(first);
    existing('<machine site="acme" machine="cp1" hypervisor="hv1" stamp="4b1d"/>');
    answer('dumpxml --inactive acme-cp1', `<domain type='kvm'>\n  <uuid>${first}</uuid>\n  <os>\n  </os>\n</domain>`);
    expect([uuid(), uuid()]).toEqual([first, first]);
  });

  test('an image with another checksum is refused, and nothing of it stays', () => {
    const path = join(folder, 'image');
    writeFileSync(path, 'something else');
    refused(baseImageScript(kvmPlan.hypervisors[0], { ...image, path }), 'has the sha256', 'the site file says abab');
    expect(spawnSync('ls', ['-A', pool], { encoding: 'utf8' }).stdout).toBe('');
  });

  test('delete leaves a machine alone that is not of this state', () => {
    existing('<machine site="acme" machine="cp1" hypervisor="hv1" stamp="other"/>');
    writeFileSync(join(pool, 'acme-cp1-root.qcow2'), '');
    const { status, lastLine } = run(machineDeleteScript(worker));
    expect({ status, changes: changes() }).toEqual({ status: 0, changes: [] });
    expect(lastLine).toContain('leaves acme-cp1 on hv1 alone');
    expect(existsSync(join(pool, 'acme-cp1-root.qcow2'))).toBe(true);
  });

  test('delete removes the volumes before the domain that proves whose they are', () => {
    existing('<machine site="acme" machine="cp1" hypervisor="hv1" stamp="4b1d"/>');
    answer('domstate acme-cp1', 'shut off');
    const volume = join(pool, 'acme-cp1-root.qcow2');
    writeFileSync(volume, '');
    const { status, lastLine } = run(machineDeleteScript(worker));
    // This virsh refuses to undefine: what is left is a domain without volumes, which the next run completes.
    expect({ status, changes: changes() }).toEqual({
      status: 1,
      changes: [expect.stringMatching(/^undefine acme-cp1 --nvram --managed-save/)],
    });
    expect(lastLine).toContain('could not remove acme-cp1');
    expect(existsSync(volume)).toBe(false);
  });

  test('an error of libvirt is told with the place below it', () => {
    existing('<machine site="acme" machine="cp1" hypervisor="hv1" stamp="4b1d"/>');
    const virsh = readFileSync(join(folder, 'bin/virsh'), 'utf8');
    const said = String.raw`error: Failed to remove\nerror: (domain):3: not closed\n</domain>\n---------^\n\n`;
    executable('virsh', virsh.replace('"error: no $*"', `"$(printf '${said}')"`));
    expect(run(machineDeleteScript(worker)).lastLine).toMatch(
      /could not .*: error: \(domain\):3: not closed \| <\/domain> \| -+\^$/,
    );
  });

  test('a script that arrives in part runs nothing', () => {
    const lines = machineScript(worker).split('\n');
    for (let length = 2; length < lines.length - 2; length += 37) run(lines.slice(0, length).join('\n'));
    expect(calls()).toBe('');
  });
});

test('without root and without sudo a script says what it needs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'user-'));
  try {
    writeFileSync(join(folder, 'id'), '#!/bin/sh\necho 1000\n', { mode: 0o755 });
    writeFileSync(join(folder, 'sudo'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };
    for (const args of [['-s'], ['-c', machineDeleteScript(settings)]]) {
      const { status, stderr } = spawnSync('bash', args, { input: machineScript(settings), env, encoding: 'utf8' });
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: expect.stringContaining('needs sudo without a password'),
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
