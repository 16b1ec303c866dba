/** A whole node and a Redis that it cannot use, or can use no longer: what operators and balancers see of it. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function startRedis(): Promise<RedisServer> {
  const redis = await RedisServer.start();
  closing.push(() => redis.dispose());
  return redis;
}

function roomcast(args: readonly string[], env: Record<string, string>) {
  const { PATH = '' } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    env: { PATH, ...env },
    timeout: 20_000,
  });
  return { status, stdout: stdout.toString(), stderr: stderr.toString() };
}

describe('a URL of Redis that cannot be right', () => {
  it.each([
    ['redis://:hush@127.0.0.1/abc', /^environment REDIS_URL: the database after the host must be/],
    ['redis://:50%hush@127.0.0.1', /^environment REDIS_URL: a % in user or password is not a valid escape/],
    ['redis://:hush@127.0.0.1?keyPrefix=x', /^environment REDIS_URL: options after \? or #/],
  ])('%s is refused by config check and by serve, without the password', (url, says) => {
    for (const args of [
      ['config', 'check'],
      ['serve', '--port', '0'],
    ]) {
      const { status, stdout, stderr } = roomcast(args, { REDIS_URL: url });
      expect(status).toBe(1);
      expect(stderr).toMatch(says);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(stdout + stderr).not.toContain('hush');
    }
  });
});

describe('a node whose Redis user lacks rights', () => {
  it('does not start, and says in one line what is missing', async () => {
    const redis = await startRedis();
    await redis.client.call('ACL', 'SETUSER', 'node', 'on', '>hush', '~*', 'resetchannels', '+@all');
    const url = redis.url.replace('//', '//node:hush@');
    const { status, stdout, stderr } = roomcast(['serve', '--port', '0'], { REDIS_URL: url });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^cannot use the Redis at .*: ACL SETUSER node &rc:\{\*\n$/);
    expect(stdout).not.toContain('listening');
    expect(stdout + stderr).not.toContain('hush');
  });

  it('does not start in a database that is not there', async () => {
    const { url } = await startRedis();
    const { status, stderr } = roomcast(['serve', '--port', '0', '--redis', `${url}/99`], {});
    expect(status).toBe(1);
    expect(stderr).toMatch(/^cannot use the Redis at .*redis\.url .*ERR DB index is out of range/);
  });
});

describe('a node whose Redis is full', () => {
  it('leaves the balancer and keeps its clients, until Redis takes writes again', async () => {
    const redis = await startRedis();
    const node = await NodeProcess.start({ flags: ['--host', '127.0.0.1', '--redis', redis.url] });
    closing.push(() => node.stop());
    const client = await TestClient.connect(node.wsUrl);
    closing.push(() => client.close());
    await client.ok('join', 'room');
    await client.ok('publish', 'room', 'before');
    const readyz = async () => (await fetch(`${node.url}/readyz`)).status;
    const gauge = async () =>
      readMetric(await (await fetch(`${node.url}/metrics`)).text(), 'roomcast_backplane_ready');
    await redis.client.config('SET', 'maxmemory', '1');
    await waitFor(async () => (await readyz()) === 503, { for: 'not ready', timeoutMs: 10_000 });
    expect(await (await fetch(`${node.url}/readyz`)).text()).toContain('redis refuses writes: OOM');
    expect([await gauge(), (await fetch(`${node.url}/healthz`)).status]).toEqual([0, 200]);
    expect((await client.request('publish', 'room', 'refused')).slice(0, 3)).toEqual([
      'error',
      expect.any(Number),
      'unavailable',
    ]);
    expect(await client.ok('history', 'room')).toMatchObject({ offset: 1 });
    await redis.client.config('SET', 'maxmemory', '0');
    await waitFor(async () => (await readyz()) === 200, { for: 'ready', timeoutMs: 10_000 });
    expect(await gauge()).toBe(1);
    await client.ok('publish', 'room', 'after');
    await client.next((frame) => frame[0] === 'message' && frame[5] === 'after');
    const told = node.log.filter(({ msg }) => msg?.startsWith('backplane is'));
    expect(told.map(({ level, msg }) => `${level}: ${msg}`)).toEqual([
      'warn: backplane is not ready',
      'info: backplane is ready again',
    ]);
  });
});
