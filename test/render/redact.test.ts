import { generateSshKey } from '../../components/secrets/hostKey';
import { mark, redactor } from '../../scripts/render/redact';

const key = generateSshKey('test');

test.each([
  ['a known text in base64', 'login: dXNlcjpwYXNzd29yZC1vZi11c2Vy', 'login: [secret: log-in]'],
  ['a private key', key.privateKey, '[secret: the key]'],
  ['one inside of YAML', `a: |\n  ${key.privateKey.trim().replace(/\n/g, '\n  ')}\n`, 'a: |\n  [secret: the key]\n'],
  ['one that nobody knows', generateSshKey('').privateKey, '[secret: private key]\n'],
  ['one in base64', Buffer.from(key.privateKey).toString('base64'), '[secret: private key]'],
  ['a public key that nobody needs to hide', key.publicKey, key.publicKey],
  ['a password in a URL', 'https://ann:s3cret@host/x', 'https://ann:[secret: password of a URL]@host/x'],
  ['a user in a URL', 'qemu+ssh://root@host/system', 'qemu+ssh://root@host/system'],
  [
    'a parameter of a URL',
    's3://b?region=x&awsSecretKey=abc&a=1',
    's3://b?region=x&awsSecretKey=[secret: parameter of a URL]&a=1',
  ],
  ['the password of VRRP', '  auth_pass abcdefgh\n', '  auth_pass [secret: VRRP password]\n'],
])('%s', (_title, text, expected) => {
  const marks = new Map([
    ['dXNlcjpwYXNzd29yZC1vZi11c2Vy', mark('log-in')],
    [key.privateKey.trim(), mark('the key')],
  ]);
  expect(redactor(marks)(text)).toBe(expected);
});
