/** A Redis that answers and refuses to write: what a node says of itself, and what goes on. Each test has a server of its own. */
import { afterEach, describe, expect, it } from 'vitest';
import type { RedisBackplane, RedisBackplaneOptions } from '../../src/backplane/redis/redis-backplane.ts';
import type { LogFields, Logger } from '../../src/util/log.ts';
import { silentLog } from '../../src/util/log.ts';
import { type Running, startRedis } from '../support/backplanes.ts';
import { KEPT, publishTiny, textsOf, UNKEPT } from '../support/frames.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const open: RedisBackplane[] = [];
const servers: RedisServer[] = [];

afterEach(async () => {
  for (const backplane of open.splice(0)) await backplane.close();
  for (const server of servers.splice(0)) await server.dispose();
});

async function ownServer(settings: Record<string, string> = {}): Promise<RedisServer> {
  const server = await RedisServer.start(settings);
  servers.push(server);
  return server;
}

/** Lines of at least `info`, as `level: message`. */
class Lines implements Logger {
  readonly lines: string[] = [];
  readonly fields: LogFields[] = [];
  readonly debug = silentLog.debug;
  readonly info = (fields: LogFields, message: string) => this.#add('info', fields, message);
  readonly warn = (fields: LogFields, message: string) => this.#add('warn', fields, message);
  readonly error = (fields: LogFields, message: string) => this.#add('error', fields, message);

  /** Those of the backplane as a whole. */
  get ofBackplane(): string[] {
    return this.lines.filter((line) => line.includes('backplane'));
  }

  #add(level: string, fields: LogFields, message: string): void {
    this.lines.push(`${level}: ${message}`);
    this.fields.push(fields);
  }
}

async function start(
  url: string,
  settings: Partial<RedisBackplaneOptions> = {},
): Promise<Running<RedisBackplane>> {
  const running = await startRedis(url, { probeIntervalMs: 20, ...settings });
  open.push(running.backplane);
  return running;
}

async function untilReady({ backplane }: Running, ready: boolean): Promise<void> {
  await waitFor(() => backplane.status().ready === ready, { for: `ready ${ready}` });
}

interface Refusal {
  readonly what: string;
  readonly settings?: Record<string, string>;
  begin(server: RedisServer): Promise<unknown>;
  end(server: RedisServer): Promise<unknown>;
  readonly says: RegExp;
}

const REFUSALS: readonly Refusal[] = [
  {
    what: 'has no memory',
    begin: ({ client }) => client.config('SET', 'maxmemory', '1'),
    end: ({ client }) => client.config('SET', 'maxmemory', '0'),
    says: /^redis refuses writes: OOM command not allowed/,
  },
  {
    what: 'has too few replicas',
    begin: ({ client }) => client.config('SET', 'min-replicas-to-write', '1'),
    end: ({ client }) => client.config('SET', 'min-replicas-to-write', '0'),
    says: /^redis refuses writes: NOREPLICAS/,
  },
  {
    what: 'cannot save to disk',
    settings: { save: '3600 1' },
    // Its file cannot be written, for a directory has its name.
    begin: async (server) => {
      await server.client.set('any', 'x');
      await server.breakSnapshots();
      await waitFor(async () => (await server.info('persistence', 'rdb_last_bgsave_status')) === 'err');
    },
    end: async ({ client }) => client.config('SET', 'stop-writes-on-bgsave-error', 'no'),
    says: /^redis refuses writes: MISCONF/,
  },
];

describe('while Redis is so full that it takes small writes and refuses large ones', () => {
  it('a node is not ready as long as publishes are refused, and recovers when they are taken', async () => {
    const server = await ownServer({ maxmemory: '6mb' });
    const log = new Lines();
    const running = await start(server.url, { log });
    const large = (n: number) => publishTiny(running.backplane, `room${n}`, 'x'.repeat(60_000));
    let refused = 0;
    for (let n = 0; refused < 5; n++) {
      const { error } = await large(n);
      if (error === null) continue;
      refused++;
      expect(running.backplane.status().reason).toMatch(/^redis refuses writes: OOM command not allowed/);
    }
    expect(log.ofBackplane).toEqual(['warn: backplane is not ready']);
    await server.client.config('SET', 'maxmemory', '0');
    await untilReady(running, true);
    expect((await large(0)).error).toBeNull();
  });
});

describe.each(REFUSALS)('while Redis $what', ({ settings, begin, end, says }) => {
  it('a node that nobody publishes through is not ready and says why, once, and recovers by itself', async () => {
    const server = await ownServer(settings);
    const log = new Lines();
    const running = await start(server.url, { log });
    const { backplane, heard } = running;
    await begin(server);
    await untilReady(running, false);
    expect(backplane.status().reason).toMatch(says);
    for (let n = 0; n < 20; n++) await publishTiny(backplane, 'room', 'refused');
    expect(log.ofBackplane).toEqual(['warn: backplane is not ready']);
    expect(log.fields.at(-1)).toMatchObject({ reason: expect.stringMatching(says) });
    await end(server);
    await untilReady(running, true);
    expect(log.ofBackplane).toEqual(['warn: backplane is not ready', 'info: backplane is ready again']);
    expect((await publishTiny(backplane, 'room', 'taken')).error).toBeNull();
    // The links stayed, nothing was missed, and so nothing is read again.
    expect([heard.resumes, log.lines.filter((line) => line.includes('link is down'))]).toEqual([0, []]);
  });

  it('what need not be written goes on', async () => {
    const server = await ownServer(settings);
    const running = await start(server.url);
    const { backplane, heard } = running;
    await Promise.all([backplane.subscribe('kept'), backplane.subscribe('unkept')]);
    await publishTiny(backplane, 'kept', 'before');
    await begin(server);
    await untilReady(running, false);
    expect((await publishTiny(backplane, 'kept', 'refused')).error).toMatchObject({ code: 'unavailable' });
    expect((await publishTiny(backplane, 'unkept', 'live', { history: UNKEPT })).error).toBeNull();
    expect(textsOf(await heard.untilMessages('unkept', 1))).toEqual(['live']);
    expect(textsOf((await backplane.read('kept', KEPT, { limit: 10 })).envelopes)).toEqual(['before']);
    await backplane.signal('to all');
    await waitFor(() => heard.signals.length === 1, { for: 'the signal' });
    await backplane.subscribe('later');
    await end(server);
    await untilReady(running, true);
    expect(await publishTiny(backplane, 'kept', 'after')).toMatchObject({ error: null, offset: 2 });
  });
});

describe('a node', () => {
  it('notices by a publish that was refused, long before it would look by itself', async () => {
    const server = await ownServer();
    const running = await start(server.url, { probeIntervalMs: 3_600_000 });
    await publishTiny(running.backplane, 'room', 'taken');
    await server.client.config('SET', 'maxmemory', '1');
    const { error } = await publishTiny(running.backplane, 'room', 'refused');
    expect(error).toMatchObject({ code: 'unavailable' });
    await untilReady(running, false);
    await server.client.config('SET', 'maxmemory', '0');
    await untilReady(running, true);
  });

  it('looks after its Redis has forgotten all scripts', async () => {
    const server = await ownServer();
    const running = await start(server.url);
    await server.client.script('FLUSH');
    await server.client.config('SET', 'maxmemory', '1');
    await untilReady(running, false);
    expect(running.backplane.status().reason).toMatch(/^redis refuses writes: OOM/);
  });

  it('whose right to write was taken away is not ready and names it, until it has it again', async () => {
    const server = await ownServer();
    await server.client.call('ACL', 'SETUSER', 'node', 'on', '>pw', '~*', '&*', '+@all');
    const running = await start(server.url.replace('//', '//node:pw@'));
    const { backplane } = running;
    for (const right of ['xadd', 'evalsha', 'publish']) {
      await server.client.call('ACL', 'SETUSER', 'node', `-${right}`);
      await untilReady(running, false);
      expect(backplane.status().reason).toMatch(new RegExp(`ACL SETUSER node \\+${right}$`));
      await server.client.call('ACL', 'SETUSER', 'node', `+${right}`);
      await untilReady(running, true);
    }
    expect((await publishTiny(backplane, 'room', 'x')).error).toBeNull();
  });

  it('whose right to its channels was taken away tries again more and more slowly, and tells of it once', async () => {
    const server = await ownServer();
    await server.client.call('ACL', 'SETUSER', 'node', 'on', '>pw', '~*', '&*', '+@all');
    const log = new Lines();
    const running = await start(server.url.replace('//', '//node:pw@'), { log });
    const before = Number(await server.info('stats', 'total_connections_received'));
    const startedMs = performance.now();
    await server.client.call('ACL', 'SETUSER', 'node', 'resetchannels');
    await waitFor(() => /NOPERM/.test(running.backplane.status().reason ?? ''), { for: 'the reason' });
    const attempts = async () => Number(await server.info('stats', 'total_connections_received')) - before;
    await waitFor(async () => (await attempts()) >= 5, { for: 'five attempts', timeoutMs: 15_000 });
    // At least half of 50, 100, 200 and 400 ms lie between five attempts.
    expect(performance.now() - startedMs).toBeGreaterThan(375);
    expect(log.lines.filter((line) => line.includes('dropped'))).toHaveLength(1);
    expect(log.ofBackplane).toEqual(['warn: backplane is not ready']);
    await server.client.call('ACL', 'SETUSER', 'node', '&*');
    await waitFor(() => running.backplane.status().ready, { for: 'ready', timeoutMs: 10_000 });
    expect(log.ofBackplane).toEqual(['warn: backplane is not ready', 'info: backplane is ready again']);
  });

  it('keeps its rooms where it is refused one more', async () => {
    const server = await ownServer();
    const rights = ['~*', '+@all', 'resetchannels', '&*probe*', '&*signals', '&*:allowed', '&*check'];
    await server.client.call('ACL', 'SETUSER', 'node', 'on', '>pw', ...rights);
    const { backplane, heard, nodeId } = await start(server.url.replace('//', '//node:pw@'));
    await backplane.subscribe('allowed');
    const linkId = async () => {
      const list = (await server.client.client('LIST')) as string;
      return /id=(\d+)/.exec(list.split('\n').find((line) => line.includes(`${nodeId}-sub`)) ?? '')?.[1];
    };
    const before = await linkId();
    await expect(backplane.subscribe('forbidden')).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('NOPERM'),
    });
    await publishTiny(backplane, 'allowed', 'x');
    expect(textsOf(await heard.untilMessages('allowed', 1))).toEqual(['x']);
    expect(await linkId()).toBe(before);
  });
});
