import { gzipSync } from 'node:zlib';
import { generateSshKey } from '../../components/secrets/hostKey';
import { readableSecrets, secretLines } from '../support/plantedSecrets';

/** Holds the search itself: what it cannot find, no test that uses it would miss. */
const secret = 'correct horse/battery+staple?';
const base64 = (text: string | Buffer) => Buffer.from(text).toString('base64');
const wrapped = (text: string) => text.replace(/.{20}/g, '$&\n');
const long = `a file of some length before it: ${secret}\nand after it, too\n`;

test.each<[string, string | Buffer]>([
  ['raw', `a ${secret} b`],
  ['JSON', JSON.stringify({ a: `"${secret}"` })],
  ['JSON in JSON', JSON.stringify(JSON.stringify({ a: secret }))],
  ['URL-encoded', `https://x?a=${encodeURIComponent(secret)}`],
  ['URL-encoded, every character', [...secret].map((one) => `%${Buffer.from(one).toString('hex')}`).join('')],
  ['hexadecimal', Buffer.from(secret).toString('hex')],
  ['hexadecimal in capitals', Buffer.from(secret).toString('hex').toUpperCase()],
  ['hexadecimal of a file', Buffer.from(long).toString('hex')],
  ['base64', base64(secret)],
  ['base64, one character later', base64(`x${secret}`)],
  ['base64, two characters later', base64(`xy${secret}`)],
  ['base64 for URLs', base64(`??>${secret}`).replace(/\+/g, '-').replace(/\//g, '_')],
  ['base64 of base64', base64(base64(long))],
  ['base64 in lines', wrapped(base64(long))],
  ['base64 in lines, in JSON', JSON.stringify({ a: wrapped(base64(long)) })],
  ['gzip', gzipSync(long)],
  ['base64 of gzip', base64(gzipSync(long))],
  ['base64 of gzip in lines', wrapped(base64(gzipSync(long)))],
  ['hexadecimal of gzip', gzipSync(long).toString('hex')],
  ['base64 of gzip in a Secret in a state', JSON.stringify({ data: { a: base64(base64(gzipSync(long))) } })],
])('%s is found', (_title, text) => {
  expect(readableSecrets(text, { other: 'something-else-entirely', secret })).toEqual(['secret']);
  const without = Buffer.from(text).toString('latin1').slice(0, 8);
  expect(readableSecrets(without, { secret })).toEqual([]);
});

test('one line of a key is enough, however it is indented; its public half is none', () => {
  const { privateKey, publicKey } = generateSshKey('somebody');
  const planted = { key: secretLines(privateKey) };
  expect(planted.key.length).toBeGreaterThan(1);
  for (const line of planted.key) expect(readableSecrets(`a: |\n    ${line}\n`, planted)).toEqual(['key']);
  expect(readableSecrets(`${publicKey}\n${privateKey.split('\n').slice(0, 4).join('\n')}`, planted)).toEqual([]);
});
