import * as net from 'node:net';
import { inspect } from 'node:util';
import { Server, type Connection, type ServerChannel } from 'ssh2';
import {
  connectWhenReady,
  HostKeyMismatchError,
  SshAuthError,
  SshDroppedError,
  SshRefusedError,
  SshSession,
  SshTimeoutError,
  type SshTarget,
} from '../../components/ssh/session';
import { newKey } from './keys';
import { freePort } from './sshd';

type Exec = (command: string, channel: ServerChannel, connection: Connection) => void;

const hostKey = newKey();
const userKey = newKey();
const stops: (() => void)[] = [];
afterEach(() => stops.splice(0).forEach((stop) => stop()));

/** A server in this process that accepts one key and does with a command what the test says. */
async function serve(
  exec: Exec,
  opts: { port?: number; forward?: boolean } = {},
): Promise<SshTarget & { logins(): number }> {
  let logins = 0;
  const connections = new Set<Connection>();
  const server = new Server({ hostKeys: [hostKey.privateKey] }, (connection) => {
    connections.add(connection);
    connection.on('error', () => undefined);
    connection.on('authentication', (ctx) => {
      const accepted = userKey.publicKey.split(' ')[1];
      if (ctx.method === 'publickey' && ctx.key.data.toString('base64') === accepted) ctx.accept();
      else ctx.reject(['publickey']);
    });
    connection.on('ready', () => {
      logins += 1;
      connection.on('session', (accept) =>
        accept().on('exec', (acceptExec, _reject, info) => exec(info.command, acceptExec(), connection)),
      );
      connection.on('tcpip', (accept, reject, info) => {
        if (!opts.forward) return reject();
        const socket = net.connect(info.destPort, info.destIP);
        socket.once('connect', () => socket.pipe(accept()).pipe(socket));
        socket.once('error', () => reject());
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(opts.port ?? 0, '127.0.0.1', resolve));
  stops.push(() => {
    connections.forEach((connection) => connection.end());
    server.close();
  });
  const { port } = server.address() as net.AddressInfo;
  return {
    host: '127.0.0.1',
    port,
    user: 'admin',
    privateKey: userKey.privateKey,
    hostKey: hostKey.publicKey,
    logins: () => logins,
  };
}

async function connected(target: SshTarget): Promise<SshSession> {
  const session = await SshSession.connect(target);
  stops.push(() => session.end());
  return session;
}

const echo: Exec = (command, channel) => {
  channel.on('data', (data: Buffer) => channel.write(data));
  channel.on('end', () => {
    channel.stderr.write(`ran ${command}\nno line end`);
    channel.exit(3);
    channel.end();
  });
};

test('a command gets its input and gives code, output and lines', async () => {
  const session = await connected(await serve(echo));
  const lines: string[] = [];
  const result = await session.exec('cat', {
    stdin: 'one\r\ntwo äö\n',
    onStdoutLine: (line) => lines.push(`out ${line}`),
    onStderrLine: (line) => lines.push(`err ${line}`),
  });
  expect(result).toEqual({ code: 3, stdout: 'one\r\ntwo äö\n', stderr: 'ran cat\nno line end' });
  expect(lines.sort()).toEqual(['err no line end', 'err ran cat', 'out one', 'out two äö']);
});

test('a printed session does not show the private key', async () => {
  const target = await serve(echo);
  const session = await connected(target);
  const keyLine = target.privateKey.split('\n')[1];
  expect(inspect(target)).toContain(keyLine);
  expect(inspect(session, { depth: null, showHidden: true })).not.toContain(keyLine);
});

test('many commands share one connection', async () => {
  const target = await serve(echo);
  const session = await connected(target);
  const outputs = await Promise.all([1, 2, 3, 4].map((n) => session.exec('cat', { stdin: `${n}` })));
  expect(outputs.map((result) => result.stdout)).toEqual(['1', '2', '3', '4']);
  expect(target.logins()).toBe(1);
});

test('another host key than the pinned one is refused with both fingerprints, before any log-in', async () => {
  const target = await serve(echo);
  const error = await SshSession.connect({ ...target, hostKey: newKey().publicKey }).catch((reason) => reason);
  expect(error).toBeInstanceOf(HostKeyMismatchError);
  expect(error.expected).toMatch(/^SHA256:/);
  expect(error.given).toMatch(/^SHA256:/);
  expect(error.expected).not.toBe(error.given);
  expect(target.logins()).toBe(0);
});

test('a pinned key of another type is refused before a connection is made', async () => {
  const target = { ...(await serve(echo)), hostKey: 'ssh-rsa AAAAB3NzaC1yc2E=' };
  await expect(SshSession.connect(target)).rejects.toThrow('must be an ed25519 public key');
});

test('a user key the server does not know is an SshAuthError', async () => {
  const target = { ...(await serve(echo)), privateKey: newKey().privateKey };
  await expect(SshSession.connect(target)).rejects.toBeInstanceOf(SshAuthError);
});

test('a private key that cannot be read is named without showing it', async () => {
  const target = { ...(await serve(echo)), privateKey: 'PLANTED-SECRET' };
  const error = await SshSession.connect(target).catch((reason) => reason);
  expect(error).toBeInstanceOf(SshAuthError);
  expect(error.message).not.toContain('PLANTED-SECRET');
});

test('nobody listening is an SshRefusedError', async () => {
  const target = { ...(await serve(echo)), port: await freePort() };
  await expect(SshSession.connect(target)).rejects.toBeInstanceOf(SshRefusedError);
});

test('a peer that accepts and says nothing is an SshTimeoutError', async () => {
  const silent = net.createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  stops.push(() => silent.close());
  const target = { ...(await serve(echo)), port: (silent.address() as net.AddressInfo).port };
  await expect(SshSession.connect(target, { timeoutSeconds: 0.3 })).rejects.toBeInstanceOf(SshTimeoutError);
});

test('a connection lost in the middle of a command is an SshDroppedError, and so is every later command', async () => {
  const session = await connected(await serve((_command, _channel, connection) => connection.end()));
  await expect(session.exec('sleep')).rejects.toBeInstanceOf(SshDroppedError);
  await expect(session.exec('again')).rejects.toBeInstanceOf(SshDroppedError);
});

test('a command over its limit is stopped with an SshTimeoutError; the session stays usable', async () => {
  const session = await connected(
    await serve((command, channel, connection) => {
      if (command !== 'hang') echo(command, channel, connection);
    }),
  );
  await expect(session.exec('hang', { timeoutSeconds: 0.2 })).rejects.toBeInstanceOf(SshTimeoutError);
  await expect(session.exec('cat', { stdin: 'alive' })).resolves.toMatchObject({ stdout: 'alive' });
});

test('an abort rejects with its reason', async () => {
  const started = new AbortController();
  const session = await connected(await serve(() => started.abort(new Error('stopped by the user'))));
  await expect(session.exec('hang', { signal: started.signal })).rejects.toThrow('stopped by the user');
});

test('a jump host is passed through, and its own host key is checked', async () => {
  const inner = await serve(echo);
  const jump = await serve(echo, { forward: true });
  const session = await connected({ ...inner, jump });
  await expect(session.exec('cat', { stdin: 'through' })).resolves.toMatchObject({ stdout: 'through' });
  expect(jump.logins()).toBe(1);

  const wrongJump = { ...inner, jump: { ...jump, hostKey: newKey().publicKey } };
  await expect(SshSession.connect(wrongJump)).rejects.toBeInstanceOf(HostKeyMismatchError);
  const wrongInner = { ...inner, hostKey: newKey().publicKey, jump };
  await expect(SshSession.connect(wrongInner)).rejects.toBeInstanceOf(HostKeyMismatchError);
});

test('a jump host that forbids forwarding is an SshAuthError', async () => {
  const inner = await serve(echo);
  const jump = await serve(echo, { forward: false });
  const error = await SshSession.connect({ ...inner, jump }).catch((reason) => reason);
  expect(error.message).toContain('the jump host');
});

test('connectWhenReady waits until the server is there', async () => {
  const port = await freePort();
  const later = { host: '127.0.0.1', port, user: 'admin', privateKey: userKey.privateKey, hostKey: hostKey.publicKey };
  const progress: string[] = [];
  const session = await connectWhenReady(later, {
    limitSeconds: 30,
    onProgress: (line) => {
      progress.push(line);
      if (progress.length === 1) void serve(echo, { port });
    },
  });
  stops.push(() => session.end());
  expect(progress[0]).toContain('ECONNREFUSED');
  await expect(session.exec('cat', { stdin: 'up' })).resolves.toMatchObject({ stdout: 'up' });
});

test('connectWhenReady gives up at the limit and repeats the last reason', async () => {
  const target = { ...(await serve(echo)), port: await freePort() };
  const error = await connectWhenReady(target, { limitSeconds: 1 }).catch((reason) => reason);
  expect(error).toBeInstanceOf(SshTimeoutError);
  expect(error.message).toContain('ECONNREFUSED');
});

test('connectWhenReady fails at once on another host key', async () => {
  const target = { ...(await serve(echo)), hostKey: newKey().publicKey };
  const onProgress = jest.fn();
  await expect(connectWhenReady(target, { limitSeconds: 600, onProgress })).rejects.toBeInstanceOf(
    HostKeyMismatchError,
  );
  expect(onProgress).not.toHaveBeenCalled();
});
