import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { renderDeviceRemoval, renderDeviceScript } from '../../components/addons/nodeLocalDevice';
import { describeScripts } from '../support/bashScripts';
import { goldensOf } from '../support/golden';

const expectGolden = goldensOf(__dirname);
const scripts: [name: string, text: string][] = [
  ['device.sh', renderDeviceScript('169.254.20.10')],
  ['device-remove.sh', renderDeviceRemoval()],
];
describeScripts(scripts, expectGolden);

test('an IPv6 address has its own family and length', () => {
  const text = renderDeviceScript('fd53:5157:20::10');
  expect(text).toContain('ip address replace fd53:5157:20::10/128 dev nodelocaldns');
  expect(text).toContain('ip6 daddr fd53:5157:20::10 meta l4proto');
});

/** Answers every question for an address with `answer`, and has nothing for IPv6. */
const RESOLVER = String.raw`
import socket, sys
address, answer = sys.argv[1:]
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, 53))
print('listens', flush=True)
while True:
    question, asker = server.recvfrom(512)
    kind = question.index(0, 12) + 2
    found = question[kind] == 1
    head = question[:2] + b'\x81\x80\x00\x01' + (b'\x00\x01' if found else b'\x00\x00') + b'\x00\x00\x00\x00'
    record = b'\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04' + socket.inet_aton(answer)
    server.sendto(head + question[12:kind + 3] + (record if found else b''), asker)
`;
const ASK_CACHE = `
import socket
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(60)
asking.connect(('169.254.20.10', 53))
asking.send(b'anybody?')
try: asking.recv(512)
except ConnectionRefusedError: print('refused')
`;

test('while the cache is away its address refuses, and resolvers of pods go on to the Service', () => {
  const helper = /(?<=<<'END_OF_HELPER_TEXT'\n)[^]*?(?=END_OF_HELPER_TEXT)/.exec(renderDeviceScript('169.254.20.10'))!;
  const folder = mkdtempSync(join(tmpdir(), 'sitewright-nodelocal-'));
  try {
    // Not every kernel that tests run on has dummies; a bridge without ports is as good a place for an address.
    writeFileSync(join(folder, 'helper'), helper[0].replace('type dummy', 'type bridge'));
    writeFileSync(join(folder, 'resolver.py'), RESOLVER);
    writeFileSync(join(folder, 'ask.py'), ASK_CACHE);
    writeFileSync(join(folder, 'resolv.conf'), 'nameserver 169.254.20.10\nnameserver 10.96.0.10\n');
    // In a network and a /etc/resolv.conf of their own, which end with it.
    const script = `set -e
ip link set lo up
ip address add 10.96.0.10/32 dev lo
sh helper
mount --bind resolv.conf /etc/resolv.conf
begin() { python3 resolver.py "$1" "$2" >"$2" & PID=$!; until [ -s "$2" ]; do sleep 0.1; done; }
begin 10.96.0.10 192.0.2.2
service=$PID
trap 'kill $service' EXIT
begin 169.254.20.10 192.0.2.1
getent ahostsv4 service.example
kill "$PID"
wait "$PID" || true
python3 ask.py
getent ahostsv4 service.example`;
    const { stdout, stderr } = spawnSync('unshare', ['--net', '--mount', 'bash', '-c', script], {
      cwd: folder,
      encoding: 'utf8',
    });
    const said = stdout.split('\n').map((line) => line.split(' ')[0]);
    expect({ said: said.filter((one, at) => one !== said[at - 1]), stderr }).toEqual({
      said: ['192.0.2.1', 'refused', '192.0.2.2', ''],
      stderr: '',
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
