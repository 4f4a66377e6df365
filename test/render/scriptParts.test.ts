import { assignment } from '../../components/nodes/bash';
import { hypervisorScript } from '../../components/machines/hypervisorScript';
import { scriptOfArgument, takeApart, writtenFiles } from '../../scripts/render/scriptParts';

const values = {
  PLAIN: 'one word',
  QUOTED: "it's 'quoted'",
  LINES: "first\nsecond 'third'\n",
  ENDLESS: 'first\nno line feed at the end',
  EMPTY: '',
  ONLY_A_LINE_FEED: '\n',
  LIST: ['a b', "c'd", ''],
  NONE: [] as string[],
};

test('the values of a script are read as they were written, whatever is in them', () => {
  const head = '# Prepares cp1.\n# More.\nset -u\nCHANGES=0\n\n';
  const tail = "\nmain() {\n  NAME='not data'\n}\nmain </dev/null\n";
  const script = `${head}${Object.entries(values)
    .map(([name, value]) => assignment(name, value))
    .join('')}${tail}`;
  expect(takeApart(script)).toEqual({ values, program: `set -u\nCHANGES=0\n\n${tail}` });
});

test('those of a script for a hypervisor too; the program is the same for every machine', () => {
  const of = (machine: string) =>
    takeApart(
      hypervisorScript({
        variables: { machine, xml: "<a b='c'>\n</a>", bytes: 12 },
        functions: ['main() { :; }'],
        readFrom: 'stdin',
      }),
    );
  expect(of('cp1').values).toEqual({ machine: 'cp1', xml: "<a b='c'>\n</a>", bytes: '12' });
  expect(of('cp1').program).toBe(of('w1').program);
  expect(of('cp1').program).toContain('main() { :; }');
});

test('a script that is an argument', () => {
  expect(scriptOfArgument("exec bash -c 'echo '\\''a'\\'''")).toBe("echo 'a'");
  expect(scriptOfArgument('exec bash -s')).toBeUndefined();
});

test('files are known by the calls that write them', () => {
  const program = [
    'one() {',
    '  local unit=$UNIT.timer',
    '  write_file "/etc/$unit" 0644 "$TIMER" daemon-reload',
    '  write_secret "$FOLDER/key" "$KEY"',
    '  write_file "$file" 0755 "$PROGRAM"',
    '  write_file /etc/hosts 0644 "$kept"',
    '}',
  ].join('\n');
  const found = writtenFiles({ program, values: { UNIT: 'x', TIMER: 't', KEY: 'k', FOLDER: '/pki', PROGRAM: 'p' } });
  expect(found).toEqual([
    { path: '/etc/x.timer', mode: '0644', variable: 'TIMER' },
    { path: '/pki/key', mode: '0600', variable: 'KEY' },
    { path: '$file', mode: '0755', variable: 'PROGRAM' },
  ]);
});
