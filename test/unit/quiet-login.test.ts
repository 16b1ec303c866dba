import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { afterEach, expect, it, vi } from 'vitest';
import { LoginWatch } from '../../src/backplane/redis/link/login-watch.ts';
import { quietLogin } from '../../src/backplane/redis/link/quiet-login.ts';
import { silentLog } from '../../src/util/log.ts';

const NEEDLESS =
  '-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?';
const NO_PASSWORD = '-ERR Client sent AUTH, but no password is set';
const NO_USERS = "-ERR wrong number of arguments for 'auth' command";
const NOPERM = "-NOPERM User chat has no permissions to run the 'info' command";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
  vi.restoreAllMocks();
});

/** A server that answers AUTH and INFO so, and everything else with OK. */
async function serverAt(replies: { readonly auth: string; readonly info?: string }) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('data', (data) => {
      for (const [, name] of String(data).matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        const reply = { auth: replies.auth, info: replies.info ?? '$0\r\n' }[name!.toLowerCase()] ?? '+OK';
        socket.write(`${reply}\r\n`);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Connects as links do. Returns what ioredis printed and what was told. */
async function login(replies: { readonly auth: string; readonly info?: string }) {
  const printed = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const port = await serverAt(replies);
  const redis = new Redis({
    host: '127.0.0.1',
    port,
    password: 'p',
    protocol: 2,
    lazyConnect: true,
    retryStrategy: null,
  });
  closers.push(() => redis.disconnect());
  const told: boolean[] = [];
  let error: string | null = null;
  redis.on('error', ({ message }: Error) => {
    error = message;
  });
  quietLogin(redis, (isNeedless) => told.push(isNeedless));
  await redis.connect().catch(() => undefined);
  return { redis, told, error, printed: printed.mock.calls };
}

it.each([NEEDLESS, NO_PASSWORD])(
  'a password that a server does not require is told, and not printed: %s',
  async (auth) => {
    const { redis, told, error, printed } = await login({ auth });
    expect({ status: redis.status, told, error, printed }).toEqual({
      status: 'ready',
      told: [true],
      error: null,
      printed: [],
    });
  },
);

it('a login that a server takes is told as such, and one that it refuses stays refused', async () => {
  expect(await login({ auth: '+OK' })).toMatchObject({ told: [false], error: null });
  const refused = await login({ auth: '-WRONGPASS invalid username-password pair or user is disabled.' });
  expect(refused).toMatchObject({ told: [], error: expect.stringContaining('WRONGPASS') });
});

it('a server that knows no user names is named in words, and not printed', async () => {
  expect(await login({ auth: NO_USERS })).toMatchObject({
    told: [],
    error: 'it knows no user names: it is older than Redis 6',
    printed: [],
  });
});

it('a user who may not ask INFO comes up without a printed line, and whoever asks is refused', async () => {
  const { redis, error, printed } = await login({ auth: '+OK', info: NOPERM });
  expect({ status: redis.status, error, printed }).toEqual({ status: 'ready', error: null, printed: [] });
  await expect(redis.info()).rejects.toThrow('NOPERM');
});

it('a server without a password is logged once, and again when it has had one', () => {
  const lines: string[] = [];
  const watch = new LoginWatch({ ...silentLog, warn: (_, message) => void lines.push(message) });
  for (const isNeedless of [true, true, false, true]) watch.loggedIn('a:1', isNeedless, 'redis.url');
  watch.loggedIn('b:1', true, 'redis.sentinels');
  expect(lines).toEqual([
    expect.stringMatching(/^redis\.url gives a password/),
    expect.stringMatching(/^redis\.url gives a password/),
    expect.stringMatching(/^redis\.sentinels gives a password/),
  ]);
});
