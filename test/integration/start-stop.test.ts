import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PublishResult } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { RedisServer } from '../support/redis.ts';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roomcast-start-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

interface Failure {
  readonly code: number | null;
  /** What it says on standard error, as lines. */
  readonly problems: readonly string[];
  readonly tookMs: number;
}

/** How a node that cannot start ends. */
async function failToStart(
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Failure> {
  const { PATH = '' } = process.env;
  const startedMs = performance.now();
  const child = spawn(process.execPath, [MAIN, 'serve', '--port', '0', ...flags], { env: { PATH, ...env } });
  let stderr = '';
  child.stdout.resume();
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  const [code] = await once(child, 'close');
  return { code, problems: stderr.trimEnd().split('\n'), tookMs: performance.now() - startedMs };
}

/** A TCP server on a free port that is no Redis. */
async function listen(talk: (socket: Socket) => void, port = 0): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    talk(socket);
  });
  await once(server.listen(port, '127.0.0.1'), 'listening');
  return server;
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server does not listen');
  return `127.0.0.1:${address.port}`;
}

describe('a node that cannot start', () => {
  it('says that its port is in use', async () => {
    const first = await NodeProcess.start();
    const { port } = new URL(first.url);
    const { code, problems } = await failToStart(['--port', port]);
    expect(code).toBe(1);
    expect(problems).toEqual([
      expect.stringMatching(`^cannot listen on 0.0.0.0:${port}: the port is in use`),
    ]);
    expect(await first.stop()).toBe(0);
  });

  it('says everything that is wrong with its configuration', async () => {
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, 'port: many\nheartbeat: { intervalMs: 1 }\nwebsockets: {}\n');
    const env = { ROOMCAST_LIMITS_COMMAND_BURST: 'x', ROOMCAST_TLS_CERT_FILE: join(folder, 'absent.pem') };
    const { code, problems } = await failToStart(['--config', file, '--log-level', 'loud'], env);
    expect(code).toBe(1);
    for (const key of [
      'heartbeat.intervalMs',
      'websockets',
      'ROOMCAST_LIMITS_COMMAND_BURST',
      '--log-level',
    ]) {
      expect(problems).toContainEqual(expect.stringContaining(key));
    }
    expect(problems).toContainEqual(
      expect.stringMatching(/ROOMCAST_TLS_CERT_FILE: cannot read .*absent\.pem/),
    );
    expect(new Set(problems).size).toBe(problems.length);
  });

  it('says which algorithm does not fit the key of its tokens', async () => {
    const env = { ROOMCAST_AUTH_SECRET: 'x'.repeat(32), ROOMCAST_AUTH_ALGORITHMS: 'RS256' };
    const { code, problems } = await failToStart([], env);
    expect(code).toBe(1);
    expect(problems).toEqual([
      expect.stringMatching(/^auth\.algorithms: cannot use RS256 with this kind of key/),
    ]);
  });

  it('says where it looked for Redis, once it has tried for as long as it may', async () => {
    const port = await freePort();
    const env = { ROOMCAST_REDIS_STARTUP_TIMEOUT_MS: '1000' };
    const { code, problems, tookMs } = await failToStart(['--redis', `redis://127.0.0.1:${port}`], env);
    expect(code).toBe(1);
    expect(problems).toEqual([expect.stringMatching(`^cannot reach Redis at 127.0.0.1:${port} within 1 s `)]);
    expect(tookMs).toBeGreaterThan(1000);
  });

  it.each([
    ['says nothing', () => undefined],
    ['speaks HTTP', (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')],
    ['speaks first', (socket: Socket) => socket.write('220 mail.example.com ready\r\n')],
  ])('says so of a server in place of Redis that %s', async (_, talk) => {
    const server = await listen(talk);
    const address = addressOf(server);
    const env = { ROOMCAST_REDIS_STARTUP_TIMEOUT_MS: '1000' };
    const { code, problems } = await failToStart(['--redis', `redis://${address}`], env);
    expect(code).toBe(1);
    expect(problems).toEqual([expect.stringMatching(`^cannot reach Redis at ${address} within 1 s `)]);
    server.close();
  });

  it('says at once that Redis does not let it in, and keeps the password to itself', async () => {
    const redis = await RedisServer.start({ requirepass: 'right' });
    const address = `127.0.0.1:${redis.port}`;
    // Longer than this test may take: a wrong password is not tried again.
    const env = { ROOMCAST_REDIS_STARTUP_TIMEOUT_MS: '600000' };
    for (const login of ['', ':sesame@', 'bob:sesame@']) {
      const { code, problems } = await failToStart(['--redis', `redis://${login}${address}`], env);
      expect(code).toBe(1);
      expect(problems).toEqual([expect.stringMatching(`^cannot log in to Redis at ${address}: `)]);
      expect(problems[0]).not.toContain('sesame');
    }
    await redis.dispose();
  });
});

describe('a node that starts', () => {
  it('waits for a Redis that comes later', async () => {
    const redis = await RedisServer.start();
    await redis.stop();
    // Whoever comes too early is turned away. Then it is there.
    const early = await listen((socket) => socket.destroy(), redis.port);
    const turnedAway = once(early, 'connection');
    const starting = NodeProcess.start({ flags: ['--redis', redis.url] });
    await turnedAway;
    await new Promise((resolve) => early.close(resolve));
    await redis.restart();
    const node = await starting;
    const client = await TestClient.connect(node.wsUrl);
    expect(await client.ok<PublishResult>('publish', 'a', 1)).toMatchObject({ offset: 1 });
    await client.close();
    expect(await node.stop()).toBe(0);
    await redis.dispose();
  });
});

describe('a node that stops while Redis does not answer', () => {
  let redis: RedisServer;
  let node: NodeProcess;
  let client: TestClient;

  beforeEach(async () => {
    redis = await RedisServer.start();
    // Far longer than this test may take: whoever waits for an answer waits for ever.
    const env = { ROOMCAST_REDIS_COMMAND_TIMEOUT_MS: '60000' };
    node = await NodeProcess.start({ flags: ['--redis', redis.url], env });
    client = await TestClient.connect(node.wsUrl);
    await client.ok('join', 'stop');
    redis.freeze();
    client.sendCommand(['publish', 1, 'stop', 'unanswered']);
  });

  afterEach(async () => {
    await node.kill();
    await redis.dispose();
  });

  it('says goodbye and ends in order all the same', async () => {
    process.kill(node.pid, 'SIGTERM');
    expect(await client.next(([type]) => type === 'bye')).toEqual(['bye', 1012, expect.anything()]);
    expect((await client.closed).code).toBe(1012);
    expect(await node.exited).toEqual({ code: 0, signal: null });
  });

  it('ends at once at a second signal', async () => {
    // Both signals are there when it wakes up, so that the first alone cannot have ended it in between.
    process.kill(node.pid, 'SIGSTOP');
    process.kill(node.pid, 'SIGTERM');
    process.kill(node.pid, 'SIGINT');
    process.kill(node.pid, 'SIGCONT');
    expect(await node.exited).toEqual({ code: 1, signal: null });
    expect((await client.closed).code).toBe(1006);
    expect(node.tail()).not.toContain('shut down');
  });
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.warn('skipped: the TLS tests need openssl on the PATH');

describe.skipIf(!hasOpenssl)('a node with a certificate', () => {
  let certFile: string;
  let keyFile: string;

  beforeAll(() => {
    certFile = join(folder, 'cert.pem');
    keyFile = join(folder, 'key.pem');
    const made = spawnSync('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-passout', 'pass:sesame'],
      ...['-keyout', keyFile, '-out', certFile],
    ]);
    if (made.status !== 0) throw new Error(`openssl failed: ${made.stderr}`);
  });

  const settings = (passphrase: string) => ({
    ROOMCAST_HOST: '127.0.0.1',
    ROOMCAST_TLS_CERT_FILE: certFile,
    ROOMCAST_TLS_KEY_FILE: keyFile,
    ROOMCAST_TLS_PASSPHRASE: passphrase,
  });

  it('speaks wss and https with those who trust it, and only so', async () => {
    const node = await NodeProcess.start({ env: settings('sesame') });
    expect(node.url).toMatch(/^https:/);
    const ca = readFileSync(certFile, 'utf8');
    const clients = await Promise.all([
      TestClient.connect(node.wsUrl, { ca }),
      TestClient.connect(node.wsUrl, { ca, encoding: 'json' }),
    ]);
    for (const client of clients) await client.ok('join', 'tls');
    await clients[0]!.ok('publish', 'tls', 'x'.repeat(50_000));
    for (const client of clients) {
      const [, , offset, , , data] = await client.next(([type]) => type === 'message');
      expect([offset, data]).toEqual([1, 'x'.repeat(50_000)]);
    }
    const [answer] = await once(get(`${node.url}/healthz`, { ca }), 'response');
    expect(answer.statusCode).toBe(200);
    answer.resume();
    await expect(TestClient.connect(node.wsUrl)).rejects.toThrow('self-signed certificate');
    await expect(TestClient.connect(node.wsUrl.replace('wss:', 'ws:'))).rejects.toThrow();
    await Promise.all(clients.map((client) => client.close()));
    expect(await node.stop()).toBe(0);
  });

  it('says why where it cannot use it, and does not start', async () => {
    const { code, problems } = await failToStart([], settings('wrong'));
    expect(code).toBe(1);
    expect(problems).toEqual([
      expect.stringMatching(`^cannot serve TLS with ${certFile} and ${keyFile}: .+`),
    ]);
  });
});
