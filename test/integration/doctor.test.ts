import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/cli/doctor/finding.ts';
import { run } from '../../src/cli/program.ts';
import { NodeProcess } from '../support/node-process.ts';
import { NO_PIPES } from '../support/pipes.ts';
import { freePort } from '../support/ports.ts';
import { untilReadyz } from '../support/readyz.ts';
import { RedisServer } from '../support/redis.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { SECRET, token as signToken } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
}

const PRODUCTION = {
  NODE_ENV: 'production',
  ROOMCAST_AUTH_SECRET: SECRET,
  ROOMCAST_ALLOWED_ORIGINS: 'https://example.com',
  ROOMCAST_API_KEYS: 'a-key-of-24-characters-a',
};

async function doctor(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  let stdout = '';
  const exitCode = await run(['doctor', ...args], {
    env,
    terminal: false,
    stderrTerminal: false,
    pipes: NO_PIPES,
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stdout += text;
    },
    serve: () => Promise.reject(new Error('a doctor runs no node')),
  });
  return { exitCode, stdout };
}

async function findings(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<readonly Finding[]> {
  const { stdout } = await doctor([...args, '--json'], env);
  return (JSON.parse(stdout) as { findings: Finding[] }).findings;
}

/** Level and words of what was found about something. */
function about(found: readonly Finding[], what: string): string[] {
  return found.filter((one) => one.about.startsWith(what)).map(({ level, says }) => `${level}: ${says}`);
}

describe('roomcast doctor, with a Redis as it should be', () => {
  let redis: RedisServer;
  let nodes: NodeProcess[];

  beforeAll(async () => {
    redis = await RedisServer.start({
      maxmemory: '256mb',
      'maxmemory-policy': 'noeviction',
      appendonly: 'yes',
      requirepass: 'hush-hush',
    });
    await redis.client.config('SET', 'client-output-buffer-limit', 'pubsub 67108864 33554432 30');
    const start = () =>
      NodeProcess.start({
        flags: ['--host', '127.0.0.1', '--redis', redis.url],
        env: { ROOMCAST_AUTH_SECRET: SECRET },
      });
    nodes = await Promise.all([start(), start()]);
  });

  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.dispose();
  });

  const nodeFlags = () => nodes.flatMap(({ url }) => ['--node', url]);

  it('finds nothing wrong, exits with 0, and prints no password', async () => {
    const { exitCode, stdout } = await doctor(['--redis', redis.url, ...nodeFlags()], PRODUCTION);
    expect(stdout).toMatch(/\n0 problems, \d+ warnings?\n$/);
    expect(exitCode).toBe(0);
    expect(stdout).not.toContain('hush-hush');
    expect(stdout).not.toContain(SECRET);
    for (const line of stdout.trimEnd().split('\n').slice(0, -2)) expect(line).toMatch(/^(ok|warning) /);
  });

  it('says of Redis what it saw', async () => {
    const found = await findings(['--redis', redis.url], PRODUCTION);
    expect(about(found, 'redis server')).toEqual([expect.stringMatching(/^ok: version \d/)]);
    expect(about(found, 'redis rights')).toEqual([
      'ok: every command that a node needs was tried, and is allowed',
    ]);
    expect(about(found, 'redis memory')).toEqual([
      expect.stringMatching(/^ok: .* of 256 MiB in use$/),
      'ok: nothing is evicted (noeviction)',
    ]);
    expect(about(found, 'redis output buffer')).toEqual([
      'ok: subscribers are cut off at 64 MiB, or 32 MiB for 30 s',
    ]);
    expect(about(found, 'redis persistence')).toEqual([
      'ok: the append-only file is on: a crash loses at most a second',
    ]);
    expect(about(found, 'clocks')).toEqual(['ok: 2 clocks agree to within 250 ms']);
  });

  it('sees that nodes wait for a token, and goes through to them with one', async () => {
    const without = await findings(['--redis', redis.url, ...nodeFlags()], PRODUCTION);
    const [first] = nodes as [NodeProcess, NodeProcess];
    const name = `node ${new URL(first.url).host}`;
    expect(about(without, name)).toEqual([
      'ok: alive and ready',
      'ok: the WebSocket opens and waits for a token',
    ]);
    const token = await signToken({ sub: 'doctor' });
    const withOne = await findings(['--redis', redis.url, ...nodeFlags(), '--token', token], PRODUCTION);
    expect(about(withOne, name)[1]).toMatch(/^ok: WebSocket, hello and ping work: node \w{8}, \d+ ms$/);
    expect(about(withOne, 'cluster')).toEqual([expect.stringMatching(/^ok: 2 nodes run version \d/)]);
    expect(about(withOne, 'clocks')).toEqual(['ok: 4 clocks agree to within 250 ms']);
  });

  it('says that a token is refused', async () => {
    const found = await findings(
      ['--redis', redis.url, ...nodeFlags(), '--token', 'made.up.token'],
      PRODUCTION,
    );
    expect(about(found, 'node')[1]).toMatch(/^problem: the WebSocket upgrade was answered with 401/);
  });

  it('says that it cannot log in, without the password', async () => {
    const url = redis.url.replace('hush-hush', 'wrong-one');
    const { exitCode, stdout } = await doctor(['--redis', url], PRODUCTION);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(
      /problem +redis link +cannot log in to 127\.0\.0\.1:\d+: WRONGPASS.* -> check the user/,
    );
    expect(stdout).not.toContain('wrong-one');
  });

  it('fails for warnings where it is told to be strict', async () => {
    const args = ['--redis', redis.url, '--connections', '0'];
    const { ROOMCAST_ALLOWED_ORIGINS: _, ...careless } = PRODUCTION;
    expect((await doctor(args, careless)).exitCode).toBe(0);
    expect((await doctor([...args, '--strict'], careless)).exitCode).toBe(1);
  });

  it('counts connections that are wanted against the files that may be open', async () => {
    const { exitCode, stdout } = await doctor(
      ['--redis', redis.url, '--connections', '900000000'],
      PRODUCTION,
    );
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/problem +open files .*900000000 connections are wanted -> raise the limit/);
  });
});

describe('roomcast doctor, with a Redis as it should not be', () => {
  it('names eviction, small buffers and the lack of persistence', async () => {
    const redis = await RedisServer.start({ maxmemory: '64mb', 'maxmemory-policy': 'allkeys-lru' });
    try {
      const { exitCode } = await doctor(['--redis', redis.url]);
      expect(exitCode).toBe(1);
      const found = await findings(['--redis', redis.url]);
      expect(about(found, 'redis memory')[1]).toMatch(/^problem: maxmemory-policy is allkeys-lru/);
      expect(about(found, 'redis output buffer')[0]).toMatch(/^warning: subscribers are cut off at 32 MiB/);
      expect(about(found, 'redis persistence')[0]).toMatch(/^warning: nothing is kept on disk/);
    } finally {
      await redis.dispose();
    }
  });

  it('warns of no limit and of snapshots alone, and gives advice with each', async () => {
    const redis = await RedisServer.start({ save: '3600 1' });
    try {
      const found = await findings(['--redis', redis.url]);
      expect(about(found, 'redis memory')[0]).toMatch(/^warning: there is no limit/);
      expect(about(found, 'redis persistence')[0]).toMatch(/^warning: only snapshots/);
      for (const { level, advice } of found) if (level !== 'ok') expect(advice).toBeTruthy();
    } finally {
      await redis.dispose();
    }
  });

  it('refuses a replica, and looks on where CONFIG is forbidden', async () => {
    const primary = await RedisServer.start();
    const replica = await RedisServer.start({ replicaof: `127.0.0.1 ${primary.port}` });
    try {
      expect(about(await findings(['--redis', replica.url]), 'redis server')[1]).toMatch(
        /^problem: it is a replica/,
      );
      await primary.client.call('ACL', 'SETUSER', 'guest', 'on', '>pw', '+@all', '-config', '~*', '&*');
      const url = primary.url.replace('redis://', 'redis://guest:pw@');
      const found = await findings(['--redis', url]);
      expect(about(found, 'redis server')[0]).toMatch(/^ok: version/);
      expect(about(found, 'redis output buffer')).toEqual([
        'ok: Redis does not report its limits (CONFIG is off, or the user lacks +config|get)',
      ]);
      expect(about(found, 'redis persistence')[0]).toMatch(
        /^warning: the append-only file is off, and Redis does not/,
      );
    } finally {
      await Promise.all([primary.dispose(), replica.dispose()]);
    }
  });

  it('names each right that is missing, a database that is not there, and writes that are refused', async () => {
    const redis = await RedisServer.start();
    try {
      await redis.client.call(
        'ACL',
        'SETUSER',
        'node',
        'on',
        '>hush',
        '~other:*',
        'resetchannels',
        '+@all',
        '-xadd',
      );
      const url = redis.url.replace('//', '//node:hush@');
      const { exitCode, stdout } = await doctor(['--redis', `${url}/99`]);
      expect(exitCode).toBe(1);
      expect(stdout).toMatch(
        /problem +redis rights +it does not permit user "node" .* ACL SETUSER node .* -> grant/,
      );
      for (const right of ['~rc:{*', '&rc:{*', '+xadd']) expect(stdout).toContain(` ${right}`);
      expect(stdout).toMatch(/problem +redis rights +it has no database with the number in redis\.url/);
      expect(stdout).not.toContain('hush');
      await redis.client.config('SET', 'maxmemory', '1');
      expect(about(await findings(['--redis', redis.url]), 'redis writes')).toEqual([
        expect.stringMatching(/^problem: it refuses writes: OOM/),
      ]);
      await redis.client.config('SET', 'maxmemory', '0');
      expect(about(await findings(['--redis', redis.url]), 'redis rights')[0]).toMatch(/^ok: every command/);
      expect(await redis.client.keys('*')).toEqual([]);
    } finally {
      await redis.dispose();
    }
  });

  it('knows a Sentinel, a node of a Redis Cluster, and a Redis without a free connection', async () => {
    const sentinel = await RedisServer.startSentinel();
    const cluster = await RedisServer.start({
      'cluster-enabled': 'yes',
      'cluster-port': String(await freePort()),
    });
    const full = await RedisServer.start({ maxclients: '1' });
    try {
      expect(about(await findings(['--redis', sentinel.url]), 'redis server')[0]).toMatch(
        /^problem: it is a Sentinel/,
      );
      expect(about(await findings(['--redis', cluster.url]), 'redis server')[0]).toMatch(
        /^problem: it is part of a Redis Cluster/,
      );
      await waitFor(() => full.client.ping());
      expect(about(await findings(['--redis', full.url]), 'redis link')).toEqual([
        expect.stringMatching(/has no free connection: ERR max number of clients reached$/),
      ]);
    } finally {
      await Promise.all([sentinel.dispose(), cluster.dispose(), full.dispose()]);
    }
  });

  it('says that Redis is not there, or does not answer', async () => {
    const port = await freePort();
    const gone = await findings(['--redis', `redis://127.0.0.1:${port}`]);
    expect(about(gone, 'redis link')).toEqual([`problem: cannot reach 127.0.0.1:${port}: ECONNREFUSED`]);
    const redis = await RedisServer.start();
    try {
      redis.freeze();
      const frozen = await findings(['--redis', redis.url]);
      expect(about(frozen, 'redis link')[0]).toMatch(/^problem: cannot reach/);
    } finally {
      await redis.dispose();
    }
  });
});

describe('roomcast doctor, with nodes that are not well', () => {
  const stand: Server[] = [];

  async function standIn(answer: Parameters<typeof createServer>[1]): Promise<string> {
    const server = createServer(answer!);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stand.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  afterAll(() => {
    for (const server of stand) server.close();
  });

  it('tells why a node is not ready', async () => {
    const redis = await RedisServer.start();
    const node = await NodeProcess.start({ flags: ['--host', '127.0.0.1', '--redis', redis.url] });
    try {
      await redis.kill();
      await untilReadyz(node.url, 503);
      const found = await findings(['--redis', redis.url, '--node', node.url]);
      expect(about(found, 'node')[0]).toMatch(/^problem: not ready: redis \w+ link is down/);
      expect(about(found, 'node')[1]).toMatch(/^ok: WebSocket, hello and ping work/);
    } finally {
      await node.stop();
      await redis.dispose();
    }
  });

  it('tells nodes that are not there, hang, or are something else', async () => {
    const port = await freePort();
    const other = await standIn((_, response) => response.end('<html>hello</html>'));
    const found = await findings(['--node', `http://127.0.0.1:${port}`, '--node', other]);
    expect(about(found, `node 127.0.0.1:${port}`)).toEqual([
      `problem: cannot reach http://127.0.0.1:${port}/: ECONNREFUSED`,
    ]);
    expect(about(found, `node ${new URL(other).host}`)).toEqual([
      'problem: /healthz answers 200, unlike a node',
    ]);
    expect(about(found, 'cluster')[0]).toMatch(/^problem: no Redis is set: each of the 2 nodes/);
  });

  it('tells a proxy that does not pass upgrades on, a clock that is off, and versions that differ', async () => {
    const pretend = (version: string, aheadMs: number) =>
      standIn((request, response) => {
        if (request.url === '/healthz') {
          return response.end(JSON.stringify({ status: 'alive', time: Date.now() + aheadMs }));
        }
        if (request.url === '/metrics') return response.end(`roomcast_build_info{version="${version}"} 1\n`);
        if (request.url === '/ws') return response.writeHead(502).end('bad gateway');
        return response.end(JSON.stringify({ status: 'ready' }));
      });
    const [a, b] = [await pretend('1.0.0', 0), await pretend('1.1.0', 5000)];
    const found = await findings(['--node', a, '--node', b.replace('http', 'ws')]);
    expect(about(found, `node ${new URL(a).host}`)).toEqual([
      'ok: alive and ready',
      'problem: the WebSocket upgrade was answered with 502: bad gateway',
    ]);
    expect(about(found, 'clocks')[0]).toMatch(/^warning: 127\.0\.0\.1:\d+ is (5|4\.\d) s ahead of/);
    expect(about(found, 'cluster').at(-1)).toMatch(
      /^warning: nodes run different versions: .* 1\.0\.0, .* 1\.1\.0$/,
    );
  });
});

describe('roomcast doctor, asked wrongly', () => {
  it('reports every problem of the configuration as a finding', async () => {
    const { exitCode, stdout } = await doctor(['--json'], { PORT: 'x', ROOMCAST_DEMO: 'y' });
    const report = JSON.parse(stdout) as { healthy: boolean; problems: number };
    expect(exitCode).toBe(1);
    expect(report).toMatchObject({ healthy: false, problems: 2, warnings: 0 });
  });

  it.each([
    [['--node', 'node1'], 'It must be a URL'],
    [['--node', 'ftp://node1'], 'It must be a URL'],
    [['--connections', 'many'], 'It must be a whole number'],
  ])('refuses %s', async (args, says) => {
    const { exitCode, stdout } = await doctor(args);
    expect(exitCode).toBe(2);
    expect(stdout).toContain(says);
  });
});

describe('roomcast doctor, with a Redis Cluster', () => {
  it('asks each server, also those that nobody named, and says which one is wrong', async () => {
    const cluster = await RedisCluster.start({
      settings: { appendonly: 'yes', maxmemory: '256mb', 'maxmemory-policy': 'noeviction' },
    });
    try {
      const [named, evicts, refuses] = (await cluster.masters()) as [RedisServer, RedisServer, RedisServer];
      await evicts.client.config('SET', 'maxmemory-policy', 'allkeys-lru');
      // Masters share their data with their replicas, but not their users.
      for (const one of [named, evicts, refuses]) {
        await one.client.call('ACL', 'SETUSER', 'nodes', 'on', '>secret', '~*', '&*', '+@all');
      }
      await refuses.client.call('ACL', 'SETUSER', 'nodes', '-xadd');
      const url = named.url.replace('redis://', 'redis://nodes:secret@');
      const found = await findings(['--redis', url, '--redis-cluster']);
      const at = ({ port }: RedisServer) => `127.0.0.1:${port}`;
      expect(about(found, 'redis server')).toEqual([expect.stringMatching(/^ok: version \d/)]);
      expect(about(found, 'redis memory').filter((one) => one.startsWith('problem'))).toEqual([
        expect.stringMatching(`^problem: ${at(evicts)}: maxmemory-policy is allkeys-lru`),
      ]);
      expect(about(found, 'redis rights')).toEqual([
        `ok: ${at(named)}, ${at(evicts)}: every command that a node needs was tried, and is allowed`,
        expect.stringMatching(`^problem: ${at(refuses)}: .* ACL SETUSER nodes \\+xadd$`),
      ]);
      const byPort = [named, evicts, refuses].sort((one, other) => one.port - other.port);
      const each = byPort.map((one) => `${at(one)} has ${one === evicts ? 42 : 43}`);
      expect(about(found, 'redis cluster')).toEqual([
        `ok: partitions by master: ${each.join(', ')}`,
        ...byPort.map((one) =>
          expect.stringMatching(`^problem: the replica .* of ${at(one)} refuses the login .*WRONGPASS`),
        ),
      ]);
    } finally {
      await cluster.dispose();
    }
  });
});
