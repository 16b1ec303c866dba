import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { expect, it, vi } from 'vitest';
import { LoginWatch } from '../../src/backplane/redis/link/login-watch.ts';
import { quietSentinels } from '../../src/backplane/redis/link/quiet-sentinels.ts';
import { SentinelWatch } from '../../src/backplane/redis/link/sentinel-watch.ts';
import { silentLog } from '../../src/util/log.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait.ts';

interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** A client by these Sentinels, and what is logged of them. */
function clientOf(endpoint: Endpoint) {
  const lines: string[] = [];
  const line = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level}: ${message} ${JSON.stringify(fields)}`);
  const log = { ...silentLog, info: line('info'), warn: line('warn') };
  const redis = new Redis({ sentinels: [endpoint], name: 'primary', lazyConnect: true });
  return { redis, lines, watch: new SentinelWatch(log), logins: new LoginWatch(log) };
}

/** Answers each command that begins on a line of its own with `reply`. */
async function sentinelAt(port: number, reply: string) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('data', (data) => {
      for (const _ of String(data).matchAll(/\*\d+\r\n/g)) socket.write(reply);
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: (server.address() as AddressInfo).port, close };
}

it('errors of the connections to Sentinels are not printed', async () => {
  const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const endpoint = { host: '127.0.0.1', port: await freePort() };
  const { redis, watch, logins } = clientOf(endpoint);
  try {
    const attempt = async () => {
      const sentinel = redis['connector']['connectToSentinel'](endpoint);
      // Not events.once, which listens for errors.
      await new Promise((resolve) => sentinel.once('end', resolve));
    };
    await attempt();
    expect(printed).toHaveBeenCalledOnce();
    quietSentinels(redis, watch, logins);
    await attempt();
    expect(printed).toHaveBeenCalledOnce();
  } finally {
    redis.disconnect();
    printed.mockRestore();
  }
});

it('a Sentinel that does not answer is told once, and so is that it answers again', async () => {
  const endpoint = { host: '127.0.0.1', port: await freePort() };
  const { redis, watch, logins, lines } = clientOf(endpoint);
  quietSentinels(redis, watch, logins);
  // As ioredis waits for news of a failover.
  let attempts = 0;
  const retryStrategy = () => {
    attempts++;
    return 1;
  };
  const waiting = redis['connector']['connectToSentinel'](endpoint, { lazyConnect: true, retryStrategy });
  const subscribed = waiting.subscribe('+switch-master');
  let sentinel: Awaited<ReturnType<typeof sentinelAt>> | null = null;
  try {
    // It goes on for longer than ioredis does by itself.
    await waitFor(() => attempts > 25);
    const address = `127.0.0.1:${endpoint.port}`;
    const down = `warn: sentinel does not answer {"address":"${address}","cause":"ECONNREFUSED"}`;
    expect(lines).toEqual([down]);
    const ok = '*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n';
    sentinel = await sentinelAt(endpoint.port, ok);
    await subscribed;
    expect(lines).toEqual([down, `info: sentinel answers again {"address":"${address}"}`]);
    sentinel.close();
    await waitFor(() => lines.length === 3);
    expect(lines[2]).toBe(down);
  } finally {
    waiting.disconnect();
    redis.disconnect();
    sentinel?.close();
  }
});

it('a Sentinel that requires no password serves us, and is told once', async () => {
  const sentinel = await sentinelAt(0, '-ERR Client sent AUTH, but no password is set\r\n');
  const endpoint = { host: '127.0.0.1', port: sentinel.port };
  const { redis, watch, logins, lines } = clientOf(endpoint);
  quietSentinels(redis, watch, logins);
  const options = { password: 'p', protocol: 2 as const, disableClientInfo: true, retryStrategy: null };
  const clients = [1, 2].map(() => redis['connector']['connectToSentinel'](endpoint, options));
  try {
    await Promise.all(clients.map((client) => once(client, 'ready')));
    expect(lines).toEqual([expect.stringMatching(/^warn: redis.sentinels gives a password/)]);
  } finally {
    for (const client of [...clients, redis]) client.disconnect();
    sentinel.close();
  }
});

it('a Sentinel that refuses us does not answer, and closing a connection says nothing', async () => {
  const sentinel = await sentinelAt(0, '-NOAUTH Authentication required.\r\n');
  const endpoint = { host: '127.0.0.1', port: sentinel.port };
  const { redis, watch, logins, lines } = clientOf(endpoint);
  quietSentinels(redis, watch, logins);
  const client = redis['connector']['connectToSentinel'](endpoint, { retryStrategy: null });
  try {
    await expect(client.sentinel('get-master-addr-by-name', 'primary')).rejects.toThrow('NOAUTH');
    expect(lines).toEqual([expect.stringMatching(/^warn: .*"cause":"NOAUTH Authentication required"/)]);
    watch.answered(`127.0.0.1:${sentinel.port}`);
    client.disconnect();
    await expect(client.sentinel('masters')).rejects.toThrow('Connection is closed.');
    expect(lines).toHaveLength(2);
  } finally {
    redis.disconnect();
    sentinel.close();
  }
});
