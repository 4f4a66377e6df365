import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bash } from '../../components/nodes/bash';
import { CORE } from '../../components/nodes/prep/core';
import { FACTS } from '../../components/nodes/prep/facts';
import { KERNEL } from '../../components/nodes/prep/kernel';
import { NETWORK } from '../../components/nodes/prep/network';
import { PORTS } from '../../components/nodes/prep/ports';
import { OFFLOAD_RULES_LIBRARY } from '../../components/nodes/prep/offloadRules';
import { SYSTEM } from '../../components/nodes/prep/system';

/** The functions of the script that need no machine, on files of a folder of their own. */
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'sitewright-nodes-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function run(script: string, replacePaths = true): { lines: string[]; stderr: string; status: number | null } {
  const library = [CORE, OFFLOAD_RULES_LIBRARY, KERNEL, SYSTEM, NETWORK, FACTS, PORTS].join('\n');
  // The paths that a test puts its own files at.
  const local = replacePaths
    ? library.replace(/\/etc\/(hosts|sysctl\.d|fstab)|\/proc\/sys\b/g, `${folder}$&`)
    : library;
  const head = `set -u; export LC_ALL=C TZ=UTC0; CHANGES=0 KERNEL=6.1.0 AUDIT_LOG=${folder}/audit.log RUN_DIR=${folder}/run\n`;
  const { stdout, stderr, status } = spawnSync('bash', ['-s'], {
    input: `${head}${local}\nmkdir -p ${folder}/etc ${folder}/proc\n${script}`,
    encoding: 'utf8',
  });
  return { lines: stdout.split('\n').slice(0, -1), stderr, status };
}
const audit = () => readFileSync(join(folder, 'audit.log'), 'utf8').replace(/^\S+ /gm, '');

test('a bash piece keeps its backslashes', () => {
  expect(bash`
a=\${b}\n "\\" $c
`).toBe('a=${b}\\n "\\\\" $c\n');
});

describe('write_file', () => {
  test('writes, audits every line once, and marks what must take it over', () => {
    const { lines, stderr } = run(`
write_file ${folder}/sub/a.conf 0640 $'x = 1\\ny = 2\\n' service
write_file ${folder}/sub/a.conf 0640 $'x = 1\\ny = 2\\n' service
write_file ${folder}/sub/a.conf 0640 $'x = 1\\ny = 3\\n' service
is_pending service && echo pending
stat -c %a ${folder}/sub/a.conf; ls ${folder}/sub; echo $CHANGES`);
    expect({ lines, stderr }).toEqual({ lines: ['pending', '640', 'a.conf', '4'], stderr: '' });
    expect(audit()).toBe(
      ['(none) -> x = 1', '(none) -> y = 2', 'y = 2 -> (none)', '(none) -> y = 3']
        .map((change) => `${folder}/sub/a.conf: ${change}\n`)
        .join(''),
    );
  });

  test('says what to do when the file system is full or read-only', () => {
    const { stderr, status } = run(
      `mkdir ${folder}/d; : >${folder}/d/x.sitewright-new; write_file /proc/nothing 0644 a`,
    );
    expect(status).toBe(1);
    expect(stderr).toContain('error: /proc/nothing cannot be written: make room');
  });
});

test('a service that failed to take a change over is a problem, and is told again by the next run', () => {
  const { lines } =
    run(`pending x; settle x false 2>/dev/null; printf '%s\\n' "\${PROBLEMS[@]}"; is_pending x && echo still
settle x true 2>/dev/null; is_pending x || echo done`);
  expect(lines).toEqual([
    expect.stringMatching(/^x: wanted to be taken over, found exit code 1: 'false' failed/),
    'still',
    'done',
  ]);
});

describe('kernel_within', () => {
  const kernel = /^(\d+)\.(\d+)\.?(\d*)/.exec(readFileSync('/proc/sys/kernel/osrelease', 'utf8'))!;
  const [major, minor] = [Number(kernel[1]), Number(kernel[2])];
  test.each([
    ['- -', true],
    [`${major}.${minor} -`, true],
    [`- ${major}.${minor}`, true],
    [`${major}.${minor + 1} -`, false],
    [`- ${major}.${minor - 1}`, false],
    [`${major - 1}.99 ${major + 1}.0`, true],
    [`- ${major - 1}.99.99`, false],
    [`${major + 1}.0 -`, false],
  ])('%s', (bounds, within) => {
    expect(run(`kernel_within ${bounds} && echo yes || echo no`, false).lines).toEqual([within ? 'yes' : 'no']);
  });
});

test.each([
  ['-K lro off on', true],
  ['-K lro off off', false],
  ['-K lro off ""', false],
  ['-K tso on ""', true],
  ['-G rx 1024 1024', false],
  ['-G rx 1024 1056', false],
  ['-G rx 1024 512', true],
  ['-G rx 1024 4096', true],
  ['-G rx 1024 ""', true],
])('offload %s differs: %s', (values, differs) => {
  expect(run(`offload_differs eth0 ${values} && echo yes || echo no`).lines).toEqual([differs ? 'yes' : 'no']);
});

test.each([
  ['-0.001234567 s', '-1.234'],
  ['0.000000089 s', '0.000'],
  ['+1.5 s', '1500.000'],
  ['-2.047 ms', '-2.047'],
  ['831 us', '0.831'],
])('%s is %s ms', (text, milliseconds) => {
  expect(run(`to_milliseconds ${text}; echo $CLOCK_OFFSET_MS`).lines).toEqual([milliseconds]);
});

test('a JSON string holds quotes, backslashes and control characters', () => {
  const { lines } = run(
    `json v $'a"b\\\\c\\td'; echo "$v"; json_list l 'x' 'y "z"'; echo "$l"; json_list l; echo "$l"`,
  );
  expect(lines.map((line) => JSON.parse(line))).toEqual(['a"b\\c d', ['x', 'y "z"'], []]);
});

test('addresses and routes of a .network file', () => {
  writeFileSync(
    join(folder, 'a.network'),
    '[Match]\nName=x\n[Network]\nAddress=192.0.2.11/24\nGateway=192.0.2.1\nDNS=192.0.2.53\n\n[Route]\nGateway=192.0.2.2\nDestination=198.51.100.0/24\n',
  );
  const { lines } = run(`configured v ${folder}/a.network; printf '%s' "$v"`);
  expect(lines).toEqual(['', '192.0.2.11/24', 'default 192.0.2.1', '198.51.100.0/24 192.0.2.2']);
});

describe('/etc/hosts', () => {
  const block = `HOSTS_BEGIN='# BEGIN sitewright' HOSTS_END='# END sitewright' HOSTS_BLOCK=$'192.0.2.11 a\\n'`;
  const own = '127.0.0.1 localhost\n127.0.1.1 me\n';
  const planned = `${own}# BEGIN sitewright\n192.0.2.11 a\n# END sitewright\n`;
  test.each([
    ['no block', own],
    ['without a last line break', own.trimEnd()],
    ['an old block', `127.0.0.1 localhost\n# BEGIN sitewright\n1.1.1.1 old\n# END sitewright\n127.0.1.1 me\n`],
    ['a block without its end', `${own}# BEGIN sitewright\n1.1.1.1 old\n`],
  ])('%s', (_, before) => {
    writeFileSync(join(folder, 'hosts.before'), before);
    run(`cp ${folder}/hosts.before ${folder}/etc/hosts; ${block}; hosts_apply 2>/dev/null`);
    expect(readFileSync(join(folder, 'etc/hosts'), 'utf8')).toBe(planned);
  });

  test('is left alone when it is as planned', () => {
    writeFileSync(join(folder, 'hosts.before'), planned);
    expect(
      run(`cp ${folder}/hosts.before ${folder}/etc/hosts; ${block}; hosts_apply 2>/dev/null; echo $CHANGES`).lines,
    ).toEqual(['0']);
  });
});

describe('sysctls', () => {
  const plan = `SYSCTL_FILE=${'${FOLDER}'}/etc/sysctl.d/k8s-net.conf
SYSCTL_KEYS=(net.ipv4.ip_forward net.ipv4.tcp_rmem) SYSCTL_PATHS=(net/ipv4/ip_forward net/ipv4/tcp_rmem) SYSCTL_VALUES=(1 '4096 87380 6291456')
mkdir -p "$FOLDER/proc/sys/net/ipv4" "$FOLDER/etc/sysctl.d"; printf '4096\\t87380\\t6291456\\n' >"$FOLDER/proc/sys/net/ipv4/tcp_rmem"`;
  const check = (setUp: string) =>
    run(`FOLDER=${folder}\n${plan}\n${setUp}\nsysctls_check; printf '%s\\n' "\${PROBLEMS[@]}"`).lines.filter(Boolean);

  test('as planned', () => expect(check('echo 1 >"$FOLDER/proc/sys/net/ipv4/ip_forward"')).toEqual([]));

  test('every problem at once', () => {
    expect(check('echo 0 >"$FOLDER/proc/sys/net/ipv4/ip_forward"; rm "$FOLDER/proc/sys/net/ipv4/tcp_rmem"')).toEqual([
      'sysctl net.ipv4.ip_forward: wanted 1, found 0: the kernel did not take the value; sysctl says why above',
      expect.stringContaining('sysctl net.ipv4.tcp_rmem: wanted 4096 87380 6291456, found no such key'),
    ]);
  });

  test.each([
    ['zz.conf', 'net.ipv4.ip_forward=0', true],
    ['zz.conf', 'net/ipv4/ip_forward = 0', true],
    ['zz.conf', '-net.ipv4.* = 0', true],
    ['zz.conf', 'net.ipv4.ip_forward = 1', false],
    ['zz.conf', '# net.ipv4.ip_forward = 0', false],
    ['99-sysctl.conf', 'net.ipv4.ip_forward = 0', false],
  ])('%s with %s wins at boot: %s', (file, line, wins) => {
    const problems = check(
      `echo 1 >"$FOLDER/proc/sys/net/ipv4/ip_forward"; echo '${line}' >"$FOLDER/etc/sysctl.d/${file}"`,
    );
    expect(problems.some((problem) => problem.includes(`${file} is read after`))).toBe(wins);
  });
});

describe('ports of the ingress controller', () => {
  const check = (before: string) => `
${before}
refusals=()
check_ingress_ports
printf '%s\\n' "\${refusals[@]}"`;
  const ss = (...lines: string[]) => `ss() { printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')}; }`;
  const LISTENERS = ss(
    'LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("apache2",pid=71,fd=4),("apache2",pid=70,fd=4))',
    'LISTEN 0 511 [::]:80 [::]:* users:(("apache2",pid=71,fd=5))',
    'LISTEN 0 128 127.0.0.1:8081 0.0.0.0:*',
    'LISTEN 0 128 0.0.0.0:8080 0.0.0.0:* users:(("other",pid=72,fd=3))',
  );

  test('what listens there is named, once', () => {
    expect(run(check(`INGRESS_PORTS=(80 443 8081); ${LISTENERS}`)).lines).toEqual([
      'TCP port 80 is taken by apache2 (process 71), and the ingress controller of the site is to listen there: stop it on this machine, or choose other machines by ingress.nodes',
      expect.stringMatching(/^TCP port 8081 is taken by the kernel, and/),
    ]);
  });

  test('a pod may: it is the controller', () => {
    const pod = `slurp() { printf -v "$1" '0::/kubepods.slice/kubepods-burstable.slice/x'; }`;
    expect(run(check(`INGRESS_PORTS=(80 443 8081); ${LISTENERS}; ${pod}`)).lines).toEqual(['']);
  });

  test('a machine without the controller is not asked', () => {
    expect(run(check(`INGRESS_PORTS=(); ss() { echo asked >&2; }`))).toMatchObject({ lines: [''], stderr: '' });
  });

  test('a real listener is seen', () => {
    const { lines } = run(
      check(`coproc perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(Listen=>1,LocalAddr=>"127.0.0.1");$|=1;print $s->sockport,"\\n";sleep 60'
read -r port <&"\${COPROC[0]}"
INGRESS_PORTS=("$port")`).replace('printf', 'kill "$COPROC_PID"; printf'),
    );
    expect(lines).toEqual([expect.stringMatching(/^TCP port [0-9]+ is taken by perl \(process [0-9]+\)/)]);
  });
});
