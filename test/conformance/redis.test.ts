/** What only the Redis backplane has: several nodes, a Redis that fails in every way, keys that others rely on. */
import { createServer, type Server } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { type BackplaneMetrics, silentMetrics } from '../../src/backplane/metrics.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { RedisBackplane, type RedisBackplaneOptions } from '../../src/backplane/redis/redis-backplane.ts';
import { Heard, type Running, redisOptions, startRedis } from '../support/backplanes.ts';
import { framesOf, KEPT, publishTiny, type Settled, textsOf, UNKEPT } from '../support/frames.ts';
import { freePort } from '../support/ports.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import type { RedisServer } from '../support/redis.ts';
import { useRedis } from '../support/use-redis.ts';
import { waitFor, within } from '../support/wait.ts';

const used = useRedis();
const { open, proxies, ownServer } = used;
let shared: RedisServer;

beforeAll(() => {
  shared = used.server;
});

async function start(
  server: RedisServer,
  settings: Partial<RedisBackplaneOptions> = {},
): Promise<Running<RedisBackplane>> {
  const running = await startRedis(server.url, settings);
  open.push(running.backplane);
  return running;
}

function build(settings: Partial<RedisBackplaneOptions>, url = shared.url): RedisBackplane {
  const backplane = new RedisBackplane(redisOptions(url, settings));
  open.push(backplane);
  return backplane;
}

function codes(results: readonly Settled[]): string[] {
  return [...new Set(results.map(({ error }) => error?.code ?? 'ok'))];
}

function until(running: Running, ready: boolean): Promise<boolean> {
  return waitFor(() => running.backplane.status().ready === ready, {
    for: `ready ${ready}`,
    timeoutMs: 15_000,
  });
}

describe('several nodes', () => {
  it('see the messages of a room in one order', async () => {
    const a = await start(shared, { keyPrefix: 'order' });
    const b = await start(shared, { keyPrefix: 'order' });
    await Promise.all([a.backplane.subscribe('room'), b.backplane.subscribe('room')]);
    const publishing: Promise<Settled>[] = [];
    for (let n = 0; n < 300; n++) {
      publishing.push(publishTiny(a.backplane, 'room', `a${n}`), publishTiny(b.backplane, 'room', `b${n}`));
      if (n % 10 === 0) await new Promise(setImmediate);
    }
    const offsets = (await Promise.all(publishing)).map(({ offset }) => offset);
    expect([...offsets].sort((x, y) => x - y)).toEqual(Array.from({ length: 600 }, (_, i) => i + 1));
    const [atA, atB] = [await a.heard.untilMessages('room', 600), await b.heard.untilMessages('room', 600)];
    expect(textsOf(atA)).toEqual(textsOf(atB));
    expect(atA.flatMap(framesOf).map(({ offset }) => offset)).toEqual(
      Array.from({ length: 600 }, (_, i) => i + 1),
    );
  });

  it('share idempotency keys and epochs', async () => {
    const a = await start(shared, { keyPrefix: 'keys' });
    const b = await start(shared, { keyPrefix: 'keys' });
    const [atA, atB] = await Promise.all(
      [a, b].map(({ backplane }) => publishTiny(backplane, 'room', 'x', { key: 'k' })),
    );
    expect([atA!.offset, atB!.offset, atA!.epoch]).toEqual([1, 1, atB!.epoch]);
    expect([atA!.duplicate, atB!.duplicate].sort()).toEqual([false, true]);
  });
});

describe('signals', () => {
  it('reach every node of the cluster, and none of another', async () => {
    const [a, b] = [
      await start(shared, { keyPrefix: 'signals' }),
      await start(shared, { keyPrefix: 'signals' }),
    ];
    const other = await start(shared, { keyPrefix: 'others' });
    await a.backplane.signal('one');
    await b.backplane.signal('two');
    await other.backplane.signal('three');
    await waitFor(() => [a, b].every(({ heard }) => heard.signals.length === 2), { for: 'both signals' });
    await waitFor(() => other.heard.signals.length > 0, { for: 'the signal of the other cluster' });
    expect([a, b, other].map(({ heard }) => heard.signals)).toEqual([
      ['one', 'two'],
      ['one', 'two'],
      ['three'],
    ]);
  });

  it('are refused while Redis is away, and arrive again after it is back', async () => {
    const server = await ownServer();
    const running = await start(server);
    await server.stop();
    await until(running, false);
    await expect(running.backplane.signal('lost')).rejects.toMatchObject({
      name: 'BackplaneError',
      code: 'unavailable',
      stage: 'signal',
    });
    await server.restart();
    await until(running, true);
    await running.backplane.signal('heard');
    await waitFor(() => running.heard.signals.length > 0, { for: 'the signal' });
    expect(running.heard.signals).toEqual(['heard']);
  });
});

describe('calls', () => {
  it('carry all rooms that wait: 1,000 rooms of one tick take a few', async () => {
    const { backplane } = await start(shared);
    const before = await shared.calls('evalsha');
    const rooms = Array.from({ length: 1_000 }, (_, i) => `room:${i}`);
    await Promise.all(rooms.map((room) => publishTiny(backplane, room, 'x')));
    expect((await shared.calls('evalsha')) - before).toBeLessThanOrEqual(3);
  });

  it('subscribe 1,200 rooms of one tick with a few commands', async () => {
    const { backplane } = await start(shared);
    const before = await shared.calls('subscribe');
    await Promise.all(Array.from({ length: 1_200 }, (_, i) => backplane.subscribe(`room:${i}`)));
    expect((await shared.calls('subscribe')) - before).toBe(3);
  });

  it('load a script that Redis has forgotten', async () => {
    let reloads = 0;
    const metrics: BackplaneMetrics = { ...silentMetrics, scriptReloaded: () => reloads++ };
    const { backplane } = await start(shared, { metrics });
    await shared.client.script('FLUSH');
    const results = await Promise.all(['1', '2'].map((text) => publishTiny(backplane, 'room', text)));
    expect(results.map(({ offset }) => offset)).toEqual([1, 2]);
    await shared.client.script('FLUSH');
    expect((await backplane.read('room', KEPT, { limit: 10 })).offset).toBe(2);
    expect(reloads).toBe(2);
  });

  it('fail for the one room whose keys are of another type, and hold no key for it', async () => {
    const { backplane } = await start(shared, { keyPrefix: 'wrong' });
    const keys = new Keys('wrong', 16);
    await shared.client.set(keys.log('bad'), 'not a stream');
    // A room that has its numbering; only its log is broken.
    await shared.client.set(keys.meta('bad'), Buffer.concat([Buffer.from('abcdefgh'), Buffer.alloc(16)]));
    const results = await Promise.all([
      publishTiny(backplane, 'good', '1'),
      publishTiny(backplane, 'bad', '1', { key: 'k' }),
      publishTiny(backplane, 'good too', '1'),
    ]);
    expect(results.map(({ error, offset }) => [error?.code ?? 'ok', offset])).toEqual([
      ['ok', 1],
      ['unavailable', 0],
      ['ok', 1],
    ]);
    expect(results[1]!.error!.message).toContain('WRONGTYPE');
    await shared.client.del(keys.log('bad'));
    expect(await publishTiny(backplane, 'bad', '1', { key: 'k' })).toMatchObject({
      offset: 1,
      duplicate: false,
    });
  });

  it('count offsets exactly up to 53 bits', async () => {
    const { backplane, heard } = await start(shared, { keyPrefix: 'high' });
    const keys = new Keys('high', 16);
    const meta = Buffer.alloc(24);
    meta.write('abcdefgh');
    meta.writeBigUInt64BE(BigInt(Number.MAX_SAFE_INTEGER - 3), 16);
    await shared.client.set(keys.meta('room'), meta);
    await backplane.subscribe('room');
    const results = await Promise.all(['a', 'b', 'c'].map((text) => publishTiny(backplane, 'room', text)));
    const expected = [2, 1, 0].map((less) => Number.MAX_SAFE_INTEGER - less);
    expect(results.map(({ offset }) => offset)).toEqual(expected);
    expect((await heard.untilMessages('room', 3)).flatMap(framesOf).map(({ offset }) => offset)).toEqual(
      expected,
    );
    const page = await backplane.read('room', KEPT, { after: expected[1]!, limit: 10 });
    expect([page.offset, page.envelopes.at(-1)?.last]).toEqual([expected[2], expected[2]]);
  });

  it('refuse with unavailable when Redis is full, and nothing is stored', async () => {
    const server = await ownServer();
    const { backplane } = await start(server);
    await publishTiny(backplane, 'room', '1');
    await server.client.config('SET', 'maxmemory', '1');
    expect((await publishTiny(backplane, 'room', '2', { key: 'k' })).error).toMatchObject({
      code: 'unavailable',
    });
    await server.client.config('SET', 'maxmemory', '0');
    expect(await publishTiny(backplane, 'room', '2', { key: 'k' })).toMatchObject({
      offset: 2,
      duplicate: false,
    });
  });

  it('ignore and count what is no envelope', async () => {
    let malformed = 0;
    const metrics: BackplaneMetrics = { ...silentMetrics, malformedEnvelope: () => malformed++ };
    const { backplane, heard } = await start(shared, { metrics, keyPrefix: 'noise' });
    await backplane.subscribe('room');
    const channel = new Keys('noise', 16).channel('room');
    for (const noise of ['', 'x', '\u0001'.repeat(60)]) await shared.client.publish(channel, noise);
    await publishTiny(backplane, 'room', 'real');
    expect(textsOf(await heard.untilMessages('room', 1))).toEqual(['real']);
    expect(malformed).toBe(3);
  });
});

describe('keys', () => {
  it('are those of the layout, with a life', async () => {
    const { backplane } = await start(shared, { keyPrefix: 'layout', partitions: 4, metaTtlMs: 50_000 });
    await publishTiny(backplane, 'chat:lobby', 'x', { key: 'k', history: { messages: 10, ageMs: 20_000 } });
    const found = (await shared.client.keys('layout:*')).sort();
    const keys = new Keys('layout', 4);
    const [dedup, log, meta] = [
      keys.dedup('chat:lobby', 'k'),
      keys.log('chat:lobby'),
      keys.meta('chat:lobby'),
    ];
    const lineages = [0, 1, 2, 3, null].map((part) => keys.lineage(part));
    const isBeat = (key: string) => key.startsWith(keys.beat(null, ''));
    const [beat = ''] = found.filter(isBeat);
    expect(await shared.client.pttl(beat)).toBeGreaterThan(0);
    expect(found.filter((key) => !isBeat(key))).toEqual([dedup, log, meta, ...lineages].sort());
    expect(meta).toMatch(/^layout:\{[0-9a-z]+\}:meta:chat:lobby$/);
    const lives = await Promise.all([log, meta, dedup].map((key) => shared.client.pttl(key)));
    [22_000, 55_000, 60_000].forEach((life, i) => {
      expect(lives[i]).toBeGreaterThan(life - 5_000);
      expect(lives[i]).toBeLessThanOrEqual(life);
    });
    expect((await shared.client.xrange(log, '-', '+'))[0]![0]).toMatch(/^1-\d{13}00001$/);
  });

  it('hold no more of a busy room than its history and a little', async () => {
    const { backplane } = await start(shared, { keyPrefix: 'bound' });
    const history = { messages: 20, ageMs: 60_000 };
    for (let n = 0; n < 600; n++) await publishTiny(backplane, 'room', 'x'.repeat(200), { history });
    expect(await shared.client.xlen(new Keys('bound', 16).log('room'))).toBeLessThan(60);
  });

  it('are not continued when their numbering is lost: the room begins anew', async () => {
    const { backplane } = await start(shared, { keyPrefix: 'lost' });
    const keys = new Keys('lost', 16);
    const first = await publishTiny(backplane, 'room', 'old');
    await shared.client.del(keys.meta('room'));
    const second = await publishTiny(backplane, 'room', 'new');
    expect(second.offset).toBe(1);
    expect(second.epoch).not.toBe(first.epoch);
    expect(textsOf((await backplane.read('room', KEPT, { limit: 10 })).envelopes)).toEqual(['new']);
  });
});

describe('starting', () => {
  it('says where no Redis answers', async () => {
    const port = await freePort();
    const backplane = build({ startupTimeoutMs: 300 }, `redis://user:hidden@127.0.0.1:${port}`);
    const error = await backplane.start(new Heard()).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ name: 'BackplaneError', code: 'unavailable', stage: 'connect' });
    const { message } = error as Error;
    expect(message).toMatch(new RegExp(`^cannot reach Redis at 127.0.0.1:${port} within .*ECONNREFUSED`));
    expect(message).not.toContain('hidden');
  });

  it('refuses a Redis that is too old', async () => {
    const old = await speakRedis('redis_version:6.2.14\r\n');
    const { port } = old.address() as { port: number };
    const starting = build({}, `redis://127.0.0.1:${port}`).start(new Heard());
    await expect(starting).rejects.toThrow(
      `cannot use the Redis at 127.0.0.1:${port}: it is version 6.2.14, but nodes need version 7.0 or later`,
    );
    old.close();
  });

  it('waits for a Redis that comes later', async () => {
    const server = await ownServer();
    await server.stop();
    const starting = build({}, server.url).start(new Heard());
    await server.restart();
    await starting;
  });

  it('logs in with a password, and says at once when it is wrong', async () => {
    const server = await ownServer({ requirepass: 'secret & strange' });
    const { backplane } = await start(server);
    expect(await publishTiny(backplane, 'room', 'x')).toMatchObject({ error: null, offset: 1 });
    const wrong = build({ startupTimeoutMs: 20_000 }, `redis://:nonsense@127.0.0.1:${server.port}`);
    await expect(within(5_000, 'the refusal', wrong.start(new Heard()))).rejects.toThrow(
      /^cannot log in to Redis/,
    );
    const none = build({ startupTimeoutMs: 20_000 }, `redis://127.0.0.1:${server.port}`);
    await expect(within(5_000, 'the refusal', none.start(new Heard()))).rejects.toThrow(
      /^cannot log in to Redis/,
    );
  });
});

describe('an outage', () => {
  it('makes publishes unavailable at once and says why; a restart makes all well', async () => {
    const server = await ownServer({ appendonly: 'yes', appendfsync: 'always' });
    const running = await start(server);
    const { backplane, heard } = running;
    await backplane.subscribe('room');
    const before = await publishTiny(backplane, 'room', '1');
    await server.stop();
    await until(running, false);
    const refused = publishTiny(backplane, 'room', '2');
    expect((await within(100, 'a refusal', refused)).error).toMatchObject({ code: 'unavailable' });
    await expect(backplane.read('room', KEPT, { limit: 1 })).rejects.toMatchObject({ code: 'unavailable' });
    await expect(backplane.subscribe('other')).rejects.toMatchObject({
      code: 'unavailable',
      stage: 'subscribe',
    });
    await waitFor(() => backplane.status().reason?.includes('ECONNREFUSED'));
    expect(backplane.status().reason).toMatch(
      /^redis command link is down: ECONNREFUSED \(down for \d+ s\)$/,
    );
    expect(heard.resumes).toBe(0);
    await server.restart();
    await until(running, true);
    expect(heard.resumes).toBe(1);
    expect(await publishTiny(backplane, 'room', '2')).toMatchObject({ epoch: before.epoch, offset: 2 });
    expect(textsOf(await heard.untilMessages('room', 2))).toEqual(['1', '2']);
    await backplane.subscribe('other');
  });

  it('settles what was under way when Redis is killed', async () => {
    const server = await ownServer();
    const { backplane } = await start(server);
    server.freeze();
    const inFlight = publishTiny(backplane, 'room', '1');
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    const waiting = publishTiny(backplane, 'room', '2');
    await server.kill();
    const results = await within(1_500, 'both to be settled', Promise.all([inFlight, waiting]));
    expect(results.map(({ error }) => error?.code)).toEqual(['timeout', 'unavailable']);
  });

  it('of a frozen Redis ends in timeout, then unavailable at once, and is over with the frost', async () => {
    const server = await ownServer();
    const running = await start(server, { commandTimeoutMs: 300 });
    const { backplane, heard } = running;
    await backplane.subscribe('room');
    server.freeze();
    const inFlight = publishTiny(backplane, 'room', '1');
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    const waiting = publishTiny(backplane, 'room', '2');
    expect((await inFlight).error).toMatchObject({ code: 'timeout' });
    expect((await waiting).error).toMatchObject({ code: 'unavailable' });
    const refused = await within(100, 'a refusal', publishTiny(backplane, 'room', '3'));
    expect(refused.error).toMatchObject({ code: 'unavailable' });
    await expect(backplane.read('room', KEPT, { limit: 1 })).rejects.toMatchObject({ code: 'unavailable' });
    server.thaw();
    await until(running, true);
    expect(heard.resumes).toBeGreaterThan(0);
    // The one that timed out was stored after all; what was refused was not.
    expect(await publishTiny(backplane, 'room', '4')).toMatchObject({ error: null, offset: 2 });
    const page = await backplane.read('room', KEPT, { limit: 10 });
    expect(textsOf(page.envelopes)).toEqual(['1', '4']);
  });

  it('that outlasts a PING replaces the link, and the node recovers', async () => {
    const server = await ownServer();
    const reconnected: string[] = [];
    const metrics: BackplaneMetrics = { ...silentMetrics, reconnected: (link) => reconnected.push(link) };
    const running = await start(server, { commandTimeoutMs: 150, metrics });
    server.freeze();
    await publishTiny(running.backplane, 'room', '1');
    await waitFor(() => running.backplane.status().reason?.startsWith('redis command link is down'));
    server.thaw();
    await until(running, true);
    expect(reconnected).toContain('command');
    expect(codes([await publishTiny(running.backplane, 'room', '2')])).toEqual(['ok']);
  });

  it('bounds what waits', async () => {
    const server = await ownServer();
    const { backplane } = await start(server, { commandTimeoutMs: 20_000 });
    server.freeze();
    const publishing = Array.from({ length: 60_000 }, () =>
      publishTiny(backplane, 'room', 'x', { history: UNKEPT }),
    );
    const refused = publishing.slice(55_000);
    const results = await within(5_000, 'the refusals', Promise.all(refused));
    expect(codes(results)).toEqual(['unavailable']);
    expect(results[0]!.error!.message).toBe('too many messages wait for Redis');
    await within(1_000, 'close', backplane.close());
    const rest = await within(1_000, 'the rest', Promise.all(publishing));
    // The first call was under way: it may be stored. Whatever waited behind it is not.
    const sent = rest.findIndex(({ error }) => error?.code !== 'timeout');
    expect(sent).toBeLessThan(55_000);
    expect(codes(rest.slice(sent))).toEqual(['unavailable']);
  });

  it('does not hold up close', async () => {
    const server = await ownServer();
    const { backplane } = await start(server, { commandTimeoutMs: 20_000 });
    server.freeze();
    const inFlight = publishTiny(backplane, 'room', '1');
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    const subscribing = backplane.subscribe('room').catch((error: unknown) => error);
    await within(500, 'close', backplane.close());
    expect((await within(500, 'the publish', inFlight)).error).toMatchObject({ code: 'timeout' });
    expect(await within(500, 'the subscribe', subscribing)).toMatchObject({ code: 'unavailable' });
  });

  it('of the subscribe link alone is noticed, and every room is subscribed again', async () => {
    const server = await ownServer();
    const running = await start(server);
    const { backplane, heard, nodeId } = running;
    const rooms = Array.from({ length: 1_100 }, (_, i) => `room:${i}`);
    await Promise.all(rooms.map((room) => backplane.subscribe(room)));
    backplane.unsubscribe('room:0');
    await killLink(server, `roomcast-${nodeId}-sub`);
    await waitFor(() => heard.resumes === 1, { for: 'resumed' });
    await Promise.all(rooms.map((room) => publishTiny(backplane, room, 'after')));
    for (const room of rooms.slice(1)) expect(textsOf(await heard.untilMessages(room, 1))).toEqual(['after']);
    expect(heard.of('room:0')).toEqual([]);
  });

  it('of the command link alone ends with a check of the rooms too', async () => {
    const server = await ownServer();
    const { backplane, heard, nodeId } = await start(server);
    await killLink(server, `roomcast-${nodeId}-cmd`);
    await waitFor(() => heard.resumes === 1, { for: 'resumed' });
    expect(codes([await publishTiny(backplane, 'room', '1')])).toEqual(['ok']);
  });
});

describe('a deaf node', () => {
  it('measures the way to itself', async () => {
    const lags: number[] = [];
    const metrics: BackplaneMetrics = { ...silentMetrics, probe: (lagMs) => lags.push(lagMs) };
    await start(shared, { metrics, probeIntervalMs: 20 });
    await waitFor(() => lags.length >= 3, { for: 'three probes' });
    for (const lag of lags) expect(lag).toBeGreaterThan(0);
  });

  it('notices that it hears nothing and replaces its subscribe link', async () => {
    const proxy = await DeafeningProxy.start(shared.port);
    proxies.push(proxy);
    const settings = { probeIntervalMs: 20, commandTimeoutMs: 200 };
    const running = await startRedis(`redis://127.0.0.1:${proxy.port}`, settings);
    open.push(running.backplane);
    const { backplane, heard, nodeId } = running;
    await backplane.subscribe('room');
    // Half open, as after a failover: the connection stands, and nothing arrives on it.
    expect(proxy.deafen(`roomcast-${nodeId}-sub`)).toBe(1);
    await until(running, false);
    await until(running, true);
    expect(heard.resumes).toBeGreaterThan(0);
    await publishTiny(backplane, 'room', 'heard');
    expect(textsOf(await heard.untilMessages('room', 1))).toEqual(['heard']);
  });
});

async function killLink(server: RedisServer, name: string): Promise<void> {
  const list = (await server.client.client('LIST')) as string;
  const line = list.split('\n').find((client) => client.includes(`name=${name} `));
  const id = /^id=(\d+)/.exec(line ?? '')?.[1];
  if (id === undefined) throw new Error(`no link is named ${name}`);
  await server.client.client('KILL', 'ID', id);
}

/** Answers every command as a Redis would whose INFO is this: an old Redis cannot be had here. */
function speakRedis(info: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('data', (data) => {
      for (const command of data.toString().split(/(?=\*\d+\r\n\$)/)) {
        socket.write(/\binfo\b/i.test(command) ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n');
      }
    });
    socket.on('error', () => socket.destroy());
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}
