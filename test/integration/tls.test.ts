import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNode, startNode } from '../../src/app/start-node.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { silentLog } from '../../src/util/log.ts';
import { Authority, type CertificateFiles, hasOpenssl } from '../support/authority.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const run = promisify(execFile);
const CLIENT = new URL('../../dist/client/node.js', import.meta.url).href;

describe.skipIf(!hasOpenssl)('TLS', () => {
  let folder: string;
  let first: Authority;
  let second: Authority;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'roomcast-tls-'));
    first = new Authority('first authority');
    second = new Authority('second authority');
  });

  afterAll(() => {
    rmSync(folder, { recursive: true });
    for (const authority of [first, second]) authority.dispose();
  });

  /** What a node is told to use, as files that can be replaced. */
  function installed(name: string, files: CertificateFiles): CertificateFiles {
    const place = { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
    copyFileSync(files.certFile, place.certFile);
    copyFileSync(files.keyFile, place.keyFile);
    return place;
  }

  function config(settings: object): Config {
    const loaded = loadConfig({ settings: { host: '127.0.0.1', port: 0, ...settings }, env: {} });
    if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
    return loaded.config;
  }

  describe('towards clients', () => {
    let node: RunningNode;
    beforeAll(async () => {
      node = await startNode(config({ tls: first.issue('node') }), silentLog);
    });
    afterAll(() => node.stop());

    it('serves the client library for Node, which trusts what NODE_EXTRA_CA_CERTS names', async () => {
      const program = `
        import { RoomcastClient } from ${JSON.stringify(CLIENT)};
        const client = new RoomcastClient('https://localhost:${node.port}');
        client.onStatus(({ state }) => {
          if (state === 'waiting') { console.log('no connection'); process.exit(0); }
        });
        const room = client.room('tls');
        room.on('message', ({ data }) => { console.log(data); process.exit(0); });
        await room.publish('over wss');
`;
      const start = (env: Record<string, string>) =>
        run(process.execPath, ['--input-type=module', '-e', program], {
          env: { PATH: process.env.PATH ?? '', ...env },
          timeout: 15_000,
        });
      expect((await start({ NODE_EXTRA_CA_CERTS: first.caFile })).stdout).toBe('over wss\n');
      expect((await start({ NODE_EXTRA_CA_CERTS: second.caFile })).stdout).toBe('no connection\n');
    });

    it('speaks TLS 1.2 and 1.3 with forward secrecy, and nothing weaker', async () => {
      const spoken = (options: ConnectionOptions) => greet({ port: node.port, ca: first.ca, ...options });
      const weak = { ciphers: 'DEFAULT:@SECLEVEL=0' };
      for (const version of ['TLSv1', 'TLSv1.1'] as const) {
        const only = { ...weak, minVersion: version, maxVersion: version };
        await expect(spoken(only)).rejects.toThrow(/protocol version/i);
      }
      expect(await spoken({ maxVersion: 'TLSv1.2' })).toMatch(/^TLSv1\.2 ECDHE-ECDSA-.*GCM/);
      expect(await spoken({})).toMatch(/^TLSv1\.3 /);
      for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384']) {
        await expect(spoken({ maxVersion: 'TLSv1.2', ciphers })).rejects.toThrow(/handshake failure/i);
      }
    });

    it('tells browsers in production, with every answer, to use nothing else', async () => {
      const tls = first.issue('strict');
      const strict = await startNode(config({ tls, production: true }), silentLog);
      const agent = new Agent({ ca: first.ca });
      const told = async (port: number, path: string) => {
        const { statusCode, headers } = await answerOf(`https://localhost:${port}${path}`, agent);
        return [statusCode, headers['strict-transport-security']];
      };
      const answers = { '/healthz': 200, '/readyz': 200, '/nowhere': 404, '/ws': 426 };
      for (const [path, status] of Object.entries(answers)) {
        expect(await told(strict.port, path), path).toEqual([status, 'max-age=31536000']);
        // While developing it would hold for whatever else this machine serves at localhost.
        expect(await told(node.port, path), path).toEqual([status, undefined]);
      }
      await strict.stop();
    });

    it('never loses a connection to a certificate that is replaced', async () => {
      const tls = [first.issue('churn'), second.issue('churn')];
      const churning = await startNode(config({ tls: tls[0] }), silentLog);
      const ca = first.ca + second.ca;
      const reader = await TestClient.connect(`wss://localhost:${churning.port}/ws`, { ca });
      await reader.ok('join', 'churn');
      let reloads = 0;
      const round = async () => {
        for (let i = 0; i < 15; i++) {
          expect(churning.reload(config({ tls: tls[++reloads % 2] }))).toBe(true);
          const client = await TestClient.connect(`wss://localhost:${churning.port}/ws`, { ca });
          await client.ok('publish', 'churn', reloads);
          await client.close();
        }
      };
      await Promise.all([round(), round(), round(), round()]);
      expect(reloads).toBe(60);
      const isLast = (frame: readonly unknown[]) => frame[0] === 'message' && frame[2] === 60;
      await reader.next(isLast);
      const offsets = reader.frames.filter(([type]) => type === 'message').map((frame) => frame[2]);
      expect(offsets).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
      await reader.close();
      await churning.stop();
    });
  });

  it('takes another certificate on SIGHUP, and connected clients notice nothing', async () => {
    const place = installed('node', first.issue('node'));
    const node = await NodeProcess.start({
      env: {
        ROOMCAST_HOST: '127.0.0.1',
        ROOMCAST_METRICS_PORT: '0',
        ROOMCAST_TLS_CERT_FILE: place.certFile,
        ROOMCAST_TLS_KEY_FILE: place.keyFile,
      },
    });
    let hangups = 0;
    const hangUp = async () => {
      process.kill(node.pid, 'SIGHUP');
      hangups++;
      const isEnd = ({ event }: { event?: string }) => event === 'reloaded' || event === 'not reloaded';
      await waitFor(() => node.log.filter(isEnd).length === hangups, { for: 'the end of the reload' });
      return node.log.filter(isEnd).at(-1)!;
    };
    const connect = (authority: Authority, encoding: 'msgpack' | 'json' = 'msgpack') =>
      TestClient.connect(node.wsUrl, { ca: authority.ca, encoding });
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: first.ca });
    const before = [await connect(first), await connect(first, 'json')];
    for (const client of before) await client.ok('join', 'tls');
    expect(await statusOf(`${node.url}/healthz`, agent)).toBe(200);

    installed('node', second.issue('node'));
    expect(await hangUp()).toMatchObject({ event: 'reloaded', isComplete: true });
    expect(node.log.find(({ msg, part }) => msg === 'reloaded' && part === 'certificate')).toMatchObject({
      subject: 'CN=node',
      fingerprint256: expect.any(String),
    });
    await expect(connect(first)).rejects.toThrow(/certificate/);
    const after = [await connect(second), await connect(second, 'json')];
    for (const client of after) await client.ok('join', 'tls');
    const everyone = [...before, ...after];
    for (const [at, client] of everyone.entries()) await client.ok('publish', 'tls', at);
    for (const client of everyone) {
      await client.next((frame) => frame[0] === 'message' && frame[5] === everyone.length - 1);
      const data = client.frames.filter(([type]) => type === 'message').map((frame) => frame[5]);
      expect(data).toEqual([0, 1, 2, 3]);
    }
    expect(await statusOf(`${node.url}/healthz`, agent)).toBe(200);
    // The metrics have it too, on their own address.
    const { metrics } = node.log.find(({ event }) => event === 'listening')!;
    expect(await statusOf(String(metrics), new Agent({ ca: second.ca }))).toBe(200);

    // A file that was written in part, or by mistake: the certificate before it stays.
    writeFileSync(place.certFile, '-----BEGIN CERTIFICATE-----\n');
    expect(await hangUp()).toMatchObject({
      level: 'error',
      event: 'not reloaded',
      problems: [expect.stringMatching(`^cannot serve TLS with ${place.certFile}`)],
    });
    await (await connect(second)).close();

    installed('node', first.issue('node'));
    expect(await hangUp()).toMatchObject({ event: 'reloaded', isComplete: true });
    const third = await connect(first);
    await third.ok('publish', 'tls', 'last');
    for (const client of everyone) {
      await client.next((frame) => frame[0] === 'message' && frame[5] === 'last');
      await client.close();
    }
    agent.destroy();
    await third.close();
    expect(await node.stop()).toBe(0);
  });

  describe('towards Redis', () => {
    let redis: RedisServer;
    let port: number;
    let hasTls = true;

    beforeAll(async () => {
      port = await freePort();
      const { certFile, keyFile } = first.issue('redis');
      try {
        redis = await RedisServer.start({
          ...{ 'tls-port': String(port), 'tls-cert-file': certFile, 'tls-key-file': keyFile },
          ...{ 'tls-ca-cert-file': first.caFile, 'tls-auth-clients': 'yes', 'tls-replication': 'yes' },
        });
      } catch (error) {
        hasTls = false;
        console.warn(`skipped: this redis-server has no TLS (${(error as Error).message})`);
      }
    });
    afterAll(() => redis?.dispose());

    const settings = (tls: object, startupTimeoutMs = 5000) =>
      config({ redis: { url: `rediss://127.0.0.1:${port}`, startupTimeoutMs, tls } });

    it('presents its certificate and checks the one of Redis', async ({ skip }) => {
      if (!hasTls) skip();
      const client = first.issue('client');
      const node = await startNode(settings({ caFile: first.caFile, ...client }), silentLog);
      const one = await TestClient.connect(`${node.url.replace('http', 'ws')}/ws`);
      await one.ok('join', 'secret');
      expect(await one.ok('publish', 'secret', 1)).toMatchObject({ offset: 1 });
      expect(await one.next(([type]) => type === 'message')).toMatchObject({ 5: 1 });
      await one.close();
      await node.stop();
      const refusal = (tls: object) =>
        startNode(settings(tls, 500), silentLog).then(
          () => null,
          (error: Error) => error.message,
        );
      expect(await refusal({ caFile: first.caFile })).toMatch(
        /set redis\.tls\.certFile and redis\.tls\.keyFile$/,
      );
      expect(await refusal(client)).toMatch(/set redis\.tls\.caFile to the certificate of who signed it$/);
      expect(await refusal({ caFile: first.caFile, ...second.issue('stranger') })).toMatch(
        /set redis\.tls\.certFile/,
      );
    });

    it('finds the primary by Sentinels that speak TLS', async ({ skip }) => {
      if (!hasTls) skip();
      const { certFile, keyFile } = first.issue('sentinel');
      const sentinelPort = await freePort();
      const sentinel = await RedisServer.start(
        {
          ...{ 'tls-port': String(sentinelPort), 'tls-cert-file': certFile, 'tls-key-file': keyFile },
          ...{ 'tls-ca-cert-file': first.caFile, 'tls-auth-clients': 'yes', 'tls-replication': 'yes' },
        },
        { sentinel: true },
      );
      try {
        await sentinel.client.call('SENTINEL', 'MONITOR', 'mymaster', '127.0.0.1', port, 1);
        const sentinels = `rediss://127.0.0.1:${sentinelPort}`;
        const through = (tls: object, startupTimeoutMs = 5000) =>
          config({ redis: { url: 'rediss://mymaster', sentinels, startupTimeoutMs, tls } });
        const node = await startNode(through({ caFile: first.caFile, ...first.issue('client') }), silentLog);
        const one = await TestClient.connect(`${node.url.replace('http', 'ws')}/ws`);
        expect(await one.ok('publish', 'by sentinel', 1)).toMatchObject({ offset: 1 });
        await one.close();
        await node.stop();
        const untrusted = startNode(through({}, 500), silentLog);
        await expect(untrusted).rejects.toThrow(/no Sentinel answers .*: set redis\.tls\.caFile/);
      } finally {
        await sentinel.dispose();
      }
    });

    it('takes another certificate for its next connection', async ({ skip }) => {
      if (!hasTls) skip();
      const place = installed('redis-client', first.issue('client'));
      const caFile = join(folder, 'redis-ca.pem');
      writeFileSync(caFile, first.ca);
      const node = await startNode(settings({ caFile, ...place }), silentLog);
      const client = await TestClient.connect(`${node.url.replace('http', 'ws')}/ws`);
      await client.ok('join', 'rotated');
      // Redis trusts and has only what the second authority signed from now on.
      const server = second.issue('redis');
      await redis.client.config('SET', 'tls-ca-cert-file', second.caFile);
      await redis.client.call(
        'CONFIG',
        'SET',
        'tls-cert-file',
        server.certFile,
        'tls-key-file',
        server.keyFile,
      );
      installed('redis-client', second.issue('client'));
      writeFileSync(caFile, second.ca);
      expect(node.reload(settings({ caFile, ...place }))).toBe(true);
      expect(await killTlsClients(redis, port)).toBe(3);
      await waitFor(async () => (await client.request('publish', 'rotated', 'again'))[0] === 'ok', {
        for: 'the node to be back at Redis',
      });
      await client.next((frame) => frame[0] === 'message' && frame[5] === 'again');
      await client.close();
      await node.stop();
    });
  });
});

/** Ends every connection that came in over TLS, as a restart of Redis would. Resolves with their number. */
async function killTlsClients(redis: RedisServer, port: number): Promise<number> {
  const list = String(await redis.client.client('LIST')).split('\n');
  const ids = list
    .filter((line) => line.includes(`laddr=127.0.0.1:${port} `))
    .map((line) => /^id=(\d+)/.exec(line)![1]!);
  for (const id of ids) await redis.client.call('CLIENT', 'KILL', 'ID', id);
  return ids.length;
}

/** Version and cipher of a handshake. Rejects where there is none. */
function greet(options: ConnectionOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = tlsConnect({ host: '127.0.0.1', ...options }, () => {
      resolve(`${socket.getProtocol()} ${socket.getCipher().name}`);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

async function statusOf(url: string, agent: Agent): Promise<number | undefined> {
  return (await answerOf(url, agent)).statusCode;
}

/** The answer, once all of it is here. */
function answerOf(url: string, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (answer) => {
      answer.resume().once('end', () => resolve(answer));
    }).once('error', reject);
  });
}
