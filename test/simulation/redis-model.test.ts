/**
 * The model of Redis does what Redis does: the same calls, drawn at random, go to both as bytes. Scripts are those that nodes ship.
 * `CHAOS_SEED` repeats a run; `CHAOS_SECONDS` makes it longer.
 */
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  CONFLATION_BYTES,
  type DraftFrame,
  draftEnvelope,
  MAX_PUBLISHED_ON,
  writePublishOptions,
} from '../../src/backplane/envelope.ts';
import * as scripts from '../../src/backplane/redis/scripts/scripts.ts';
import { chaosSeed, Random } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { RedisModel } from './redis/server.ts';

const SHAS = new Map(
  Object.entries(scripts).flatMap(([name, one]) => ('sha' in one ? [[name, String(one.sha)] as const] : [])),
);
const LIFE_MS = 600_000;
/** A time of a change: later than any that the clocks give. */
const LATER_MS = 4_000_000_000_000;
const CALLS = Number(process.env.CHAOS_SECONDS ?? 2) * 1000;
const AT_ONCE = 50;

/** What both are asked, and how to look at the reply: `same` where a clock decides about parts of it. */
interface Call {
  readonly what: string;
  readonly words: readonly (string | Buffer)[];
  readonly same?: (reply: unknown) => unknown;
}

let server: RedisServer;
let port: Server;
const model = new RedisModel({ nowMicros: () => Date.now() * 1000, name: 'a' });
let real: Redis;
let modelled: Redis;

beforeAll(async () => {
  server = await RedisServer.start();
  port = createServer((socket) => {
    const connection = model.connect({ send: (bytes) => socket.write(bytes), end: () => socket.destroy() });
    socket.on('data', (bytes) => connection.received(bytes));
    socket.on('close', () => connection.closed());
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => port.listen(0, '127.0.0.1', resolve));
  const address = port.address();
  const options = { protocol: 2, replyMapping: 'legacy', maxRetriesPerRequest: 0 } as const;
  real = new Redis(server.url, options);
  modelled = new Redis(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1', options);
  for (const script of scripts.ALL_SCRIPTS) {
    await script.load({ redis: real, isCluster: false });
    await script.load({ redis: modelled, isCluster: false });
  }
});

afterAll(async () => {
  real.disconnect();
  modelled.disconnect();
  port.close();
  await server.dispose();
});

test('random calls get the same replies, leave the same keys and publish the same, as in Redis', async () => {
  const seed = chaosSeed();
  const random = new Random(seed);
  const heard = await Promise.all([server.url, modelled.options.port].map(listen));
  for (let done = 0; done < CALLS; done += AT_ONCE) {
    const calls = Array.from({ length: AT_ONCE }, () => anyCall(random));
    const [expected, given] = await Promise.all([real, modelled].map((redis) => replies(redis, calls)));
    for (let i = 0; i < AT_ONCE; i++) {
      expect({ seed, call: calls[i]?.what, reply: given?.[i] }).toEqual({
        seed,
        call: calls[i]?.what,
        reply: expected?.[i],
      });
    }
  }
  const [expected, given] = await Promise.all([real, modelled].map((redis) => contents(redis)));
  expect({ seed, keys: given }).toEqual({ seed, keys: expected });
  const [published, modelPublished] = await Promise.all(heard.map((stop) => stop()));
  expect(modelPublished?.length).toBeGreaterThan(CALLS / 100);
  expect(modelPublished).toEqual(published);
}, 60_000);

test('a full Redis refuses what the model refuses', async () => {
  const random = new Random(chaosSeed());
  await real.config('SET', 'maxmemory', '1');
  model.isFull = true;
  try {
    const calls = Array.from({ length: 400 }, () => anyCall(random));
    const [expected, given] = await Promise.all([real, modelled].map((redis) => replies(redis, calls)));
    for (const [i, call] of calls.entries())
      expect({ call: call.what, reply: given?.[i] }).toEqual({ call: call.what, reply: expected?.[i] });
    expect(given?.filter((reply) => String(reply).includes('OOM')).length).toBeGreaterThan(20);
  } finally {
    await real.config('SET', 'maxmemory', '0');
    model.isFull = false;
  }
});

async function replies(redis: Redis, calls: readonly Call[]): Promise<unknown[]> {
  return Promise.all(
    calls.map(({ words: [name, ...args], same = (reply) => reply }) =>
      redis.callBuffer(String(name), args).then(
        (reply) => same(plain(reply)),
        // What comes after the reason names the place in the script.
        (error: Error) =>
          `refused: ${error.message.replace(/(\.| )? ?script: .*/s, '').replace(/user_script:\d+: /, '')}`,
      ),
    ),
  );
}

/** Buffers as text of one character for each byte; long ones as their digest, which a failed test can print. */
function plain(reply: unknown): unknown {
  if (Buffer.isBuffer(reply)) {
    const text = reply.toString('latin1').replace(/user_script:\d+: /g, '');
    return text.length < 100
      ? text
      : `${text.length} bytes ${createHash('sha1').update(text, 'latin1').digest('hex')}`;
  }
  return Array.isArray(reply) ? reply.map(plain) : reply;
}

/** Subscribes to all rooms. The result takes what was heard. */
async function listen(address: string | number | undefined): Promise<() => Promise<string[]>> {
  const options = { protocol: 2, replyMapping: 'legacy' } as const;
  const redis =
    typeof address === 'string' ? new Redis(address, options) : new Redis(address ?? 0, '127.0.0.1', options);
  const heard: string[] = [];
  redis.on('messageBuffer', (channel: Buffer, payload: Buffer) => {
    heard.push(`${channel.toString()} ${withoutMark(payload)}`);
  });
  await redis.subscribe(...ROOMS.map((room) => `log:${room}`));
  return async () => {
    // Whatever was published before has arrived by then.
    await redis.subscribe(`log:${ROOMS[0]}`);
    redis.disconnect();
    return heard;
  };
}

/** Marks of rooms without history follow the clock. */
function withoutMark(payload: Buffer): string {
  const isMarked =
    payload[0] === 3 && (payload[1] ?? 0) & 4 && payload.readUIntBE(payload.length - 14, 6) === 0;
  return payload.toString('latin1', 0, isMarked ? payload.length - 8 : payload.length);
}

async function contents(redis: Redis): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  const ask = (...words: string[]) =>
    redis.callBuffer(words[0] ?? '', words.slice(1)).then(plain, (error: Error) => error.message);
  for (const key of ALL_KEYS) {
    const life = Number(await ask('PTTL', key));
    // Rounded, since calls reach the two at different moments.
    const all = { life: life < 0 ? life : Math.round(life / 20_000) };
    const kind = key.replace('{0}:', '').split(':')[0] ?? '';
    if (['meta', 'dedup', 'text', 'lineage'].includes(kind))
      found[key] = { ...all, text: unmarked(await ask('GET', key)) };
    else if (kind === 'log') found[key] = { ...all, has: await readAll(redis, key) };
    else if (kind === 'preso' || kind === 'acks' || kind === 'sorted') {
      found[key] = { ...all, set: await ask('ZREVRANGEBYSCORE', key, '+inf', '-inf', 'WITHSCORES') };
    } else if (kind !== 'newest') found[key] = { ...all, hash: pairs(await ask('HGETALL', key)) };
  }
  return found;
}

/** Without the time in a room's numbering. */
function unmarked(meta: unknown): unknown {
  return typeof meta === 'string' && meta.length >= 24 ? meta.slice(0, 8) + meta.slice(16) : meta;
}

/** The newest entry of a log: how many of the oldest remain is up to the size of Redis's blocks. */
async function readAll(redis: Redis, log: string): Promise<unknown> {
  const entries = (await redis.callBuffer('XREVRANGE', [log, '+', '-', 'COUNT', '1'])) as [
    Buffer,
    Buffer[],
  ][];
  return entries.map(([id, fields]) => [id.toString().replace(/-\d+(\d{5})$/, '-$1'), plain(fields)]);
}

function pairs(list: unknown): unknown {
  if (!Array.isArray(list)) return list;
  return list
    .filter((_, i) => i % 2 === 0)
    .map((name, i) => [name, list[i * 2 + 1]])
    .sort();
}

// ---- calls -------------------------------------------------------------------------------------------------

const ROOMS = ['a', 'b', 'c', 'd'];
/** Messages. Redis trims by whole blocks, whose size in bytes the model does not know exactly: reads leave out what is beyond. */
const KEPT: Readonly<Record<string, number>> = { a: 100, b: 5, c: 1, d: 0 };
const EPOCHS = ['epoch--1', 'epoch--2'];
const KEYS_OF_PUBLISHERS = ['k1', 'k2', 'k3', 'k4', 'k5', 'k6'];
const NODES = ['node---1', 'node---2'];
const TEXTS = ['text:1', 'text:2'];
const LINEAGES = ['lineage1', 'lineage2'];
const SERVERS = ['lineage2', 'server-3'].map((start) => start.padEnd(80, '0'));
const RECORDS = ['', ...SERVERS.flatMap((server) => ['', ...LINEAGES].map((lineage) => server + lineage))];
const ALL_KEYS = [
  ...ROOMS.flatMap((room) =>
    ['{0}:meta', 'log', 'pres', 'presu', 'preso', 'newest'].map((kind) => `${kind}:${room}`),
  ),
  ...ROOMS.flatMap((room) => KEYS_OF_PUBLISHERS.map((key) => `dedup:${room}*${key}`)),
  ...ROOMS.flatMap((room) => EPOCHS.map((epoch) => `acks:${room}*${epoch}`)),
  ...NODES.map((node) => `rooms:${node}`),
  ...TEXTS,
  '{0}:lineage',
  'hash:1',
  'sorted:1',
  'leases',
];

function anyCall(random: Random): Call {
  const kinds = [publish, publish, publish, history, history, presence, presence, ...OTHERS];
  return random.pick(kinds)(random);
}

type ScriptName = Exclude<keyof typeof scripts & `${string}Script`, 'Script'>;

function script(name: ScriptName, keys: string[], args: (string | number | Buffer)[]): Call {
  const words = [
    'evalsha',
    SHAS.get(name) ?? '',
    String(keys.length),
    ...keys,
    ...args.map((arg) => (Buffer.isBuffer(arg) ? arg : String(arg))),
  ];
  return { what: `${name} ${keys.join(' ')} ${args.map(shown).join(' ')}`, words };
}

/** Up to three, each once. */
function rooms(random: Random): string[] {
  const first = random.whole(0, ROOMS.length - 1);
  return [...ROOMS, ...ROOMS].slice(first, first + random.whole(1, 3));
}

function shown(arg: string | number | Buffer): string {
  return Buffer.isBuffer(arg) ? `${arg.length} bytes ${arg.toString('hex', 0, 32)}` : String(arg);
}

function publish(random: Random): Call {
  const keys: string[] = [];
  const args: (string | Buffer)[] = [
    random.pick(EPOCHS),
    String(LIFE_MS),
    String(LIFE_MS),
    random.pick(['', '', '', ...LINEAGES]),
  ];
  for (const room of rooms(random)) {
    const isSignal = random.next() < 0.1;
    const messages = isSignal ? 0 : KEPT[room]!;
    const frames = Array.from({ length: random.whole(1, 5) }, () => frame(random, isSignal));
    const conflates = !isSignal && frames.some(({ conflation }) => conflation != null);
    const keyed = isSignal ? [] : frames.map((_, i) => i).filter(() => random.next() < 0.2);
    const draft = Buffer.from(draftEnvelope(frames, NODES[0] ?? '', 1000));
    const publishedOn = random.pick([0, 1, MAX_PUBLISHED_ON]);
    writePublishOptions(draft, 0, { messages, ageMs: LIFE_MS, bytes: 0 }, keyed.length, publishedOn);
    keys.push(`{0}:meta:${room}`, `log:${room}`);
    if (messages === 0 && conflates) keys.push(`newest:${room}`);
    args.push(draft);
    if (keyed.length === 0) continue;
    for (const _ of keyed) keys.push(`dedup:${room}*${random.pick(KEYS_OF_PUBLISHERS)}`);
    args.push(Buffer.from(keyed.flatMap((index) => [index >> 8, index & 255])));
  }
  return script('publishScript', keys, args);
}

function frame(random: Random, isSignal: boolean): DraftFrame {
  const bytes = random.bytes(random.pick([20, 30, 200, 1500]));
  const exclude = random.next() < 0.1 ? random.whole(1, 1000) : 0;
  const conflation =
    isSignal || random.next() < 0.7 ? null : Buffer.alloc(CONFLATION_BYTES, random.whole(1, 3));
  return { frame: bytes, offsetAt: isSignal ? 0 : 5, exclude, conflation };
}

function history(random: Random): Call {
  const room = random.pick(['a', 'b', 'c']);
  const args = [
    random.whole(0, 60),
    random.pick([0, 1, 5, 50]),
    KEPT[room]!,
    LIFE_MS,
    random.pick(EPOCHS),
    LIFE_MS,
    random.pick(['', '', ...LINEAGES]),
    random.pick([0, LIFE_MS]),
    random.pick([0, 1]),
    random.pick([0, 0, 100, 2000]),
  ];
  return script('historyScript', [`{0}:meta:${room}`, `log:${room}`], args);
}

const WHOS = [
  '\x91\xa3ann',
  '\x91\xa3bob',
  '\x92\xa3bob\x01',
  '\x91\xc0',
  `\x91\xd9\x28${'u'.repeat(40)}`,
].map((who) => Buffer.from(who, 'latin1'));

function presence(random: Random): Call {
  const keys = ['text:none'];
  const node = random.next() < 0.3 ? random.pick(NODES) : '';
  const args: (string | Buffer)[] = [Buffer.from(`\0\0\0${String.fromCharCode(random.whole(1, 3))}${node}`)];
  for (const room of rooms(random)) {
    keys.push(`pres:${room}`, `presu:${room}`, `preso:${room}`, `log:${room}`);
    const changes = random.whole(1, 3);
    args.push(random.pick(['0', '1']), String(changes));
    for (let i = 0; i < changes; i++) {
      args.push(`${random.pick(NODES)}.${random.whole(1, 5)}`, random.next() < 0.4 ? '' : random.pick(WHOS));
    }
  }
  if (node !== '') keys.push('leases');
  return script('presenceScript', keys, args);
}

const scanned = (reply: unknown) => (Array.isArray(reply) ? [reply[0], pairs(reply[1])] : reply);
const sorted = (reply: unknown) => (Array.isArray(reply) ? [...reply].sort() : reply);

const OTHERS: ((random: Random) => Call)[] = [
  (random) => {
    const room = random.pick(ROOMS);
    const same = (reply: unknown) => {
      if (!Array.isArray(reply)) return reply;
      // Marks and ages are of the clock.
      return [
        reply[0] === '0',
        ...reply
          .slice(1)
          .map((one) => String(one).slice(0, 8))
          .sort(),
      ];
    };
    return { ...script('newestScript', [`newest:${room}`], [LIFE_MS]), same };
  },
  (random) => {
    const room = random.pick(ROOMS);
    return script(
      'renewScript',
      [`{0}:meta:${room}`],
      [random.pick(EPOCHS), random.whole(1, 100), random.pick(EPOCHS), random.pick(['', ...LINEAGES])],
    );
  },
  (random) => {
    const keys: string[] = [];
    const args: (string | number)[] = [LIFE_MS, LIFE_MS];
    for (let i = random.whole(1, 3); i > 0; i--) {
      const [room, epoch] = [random.pick(ROOMS), random.pick(EPOCHS)];
      keys.push(`{0}:meta:${room}`, `acks:${room}*${epoch}`);
      args.push(
        epoch,
        random.pick(['ann', 'bob']),
        random.pick([-1, 0, random.whole(1, 80)]),
        random.pick(['', ...LINEAGES]),
      );
    }
    return script('ackScript', keys, args);
  },
  (random) => {
    const [room, epoch] = [random.pick(ROOMS), random.pick(EPOCHS)];
    return script(
      'acksScript',
      [`{0}:meta:${room}`, `acks:${room}*${epoch}`],
      [epoch, random.pick(['', '0', '20']), random.whole(1, 3), random.pick(['', ...LINEAGES])],
    );
  },
  (random) => script('lineageScript', ['{0}:lineage'], [random.pick(RECORDS), random.pick(RECORDS.slice(1))]),
  (random) => {
    const room = random.pick(ROOMS);
    if (random.next() < 0.8) return history(random);
    return script(
      'clearScript',
      [`{0}:meta:${room}`, `log:${room}`],
      [random.pick(EPOCHS), random.pick(['', ...LINEAGES])],
    );
  },
  (random) => {
    const room = random.pick(ROOMS);
    const after = random.pick(['', '', `${NODES[0]}.3`]);
    return script(
      'membersScript',
      [`pres:${room}`, `presu:${room}`, `preso:${room}`],
      [random.whole(1, 10), after],
    );
  },
  (random) => {
    const term = random.whole(0, 2);
    const args = [random.pick(NODES), term, `${term}:1:6000:`, `${term + 1}:1:6000:`];
    const same = (reply: unknown) => (Array.isArray(reply) ? [reply[0], pairs(reply.slice(1))] : reply);
    return { ...script('leaseScript', ['leases'], args), same };
  },
  (random) => {
    const term = random.whole(0, 3);
    return script('claimScript', ['leases'], [random.pick(NODES), `${term}:1:6000:`, `${term}:1:6000:other`]);
  },
  (random) => {
    const [room, node] = [random.pick(ROOMS), random.pick(NODES)];
    const keys = [`pres:${room}`, `presu:${room}`, `preso:${room}`, `log:${room}`];
    // Which entry goes first is up to the order of Redis's table: nobody is told.
    return {
      ...script('sweepScript', keys, [`${node}.`, random.whole(0, 3), '0', '0', '100']),
      same: sorted,
    };
  },
  (random) =>
    script('forgetScript', [`rooms:${random.pick(NODES)}`], [random.whole(0, 2), ...ROOMS.slice(0, 2)]),
  (random) => {
    const node = random.pick(NODES);
    return script('releaseScript', ['leases', `rooms:${node}`], [node, `${random.whole(0, 2)}:1:6000:`]);
  },
  (random) => {
    const does = random.pick(['deny', 'lift', 'restore']);
    const change = [
      random.pick(['s1', 's2', 's3', 's4']),
      random.pick([LIFE_MS, 0]),
      random.pick([0, LATER_MS]),
    ];
    const mark = does === 'restore' ? [random.pick(['+', '-'])] : [];
    // Each Redis answers with its own time.
    const same = (reply: unknown) => Number(reply) > 1;
    return { ...script('denyScript', ['denials', 'denials:changes'], [does, 3, ...change, ...mark]), same };
  },
  (random) => {
    const same = (reply: unknown) =>
      Array.isArray(reply)
        ? (reply[1] as unknown[]).filter((one) => Number.isNaN(Number(one))).sort()
        : reply;
    // With more than is there, since which entry of two comes first is up to the clock.
    return {
      ...script('denialsScript', ['denials', 'denials:changes'], ['', random.whole(0, 1) * 10, 10]),
      same,
    };
  },
  () =>
    script(
      'checkScript',
      [],
      ['text:check', 'stream:check', 'hash:check', 'sorted:check', 'nodes:check', 'channel:check'],
    ),
  (random) => plainCall('HSET', `rooms:${random.pick(NODES)}`, random.pick(ROOMS), `${random.whole(0, 3)}:1`),
  (random) => plainCall('HDEL', `rooms:${random.pick(NODES)}`, random.pick(ROOMS)),
  (random) => ({ ...plainCall('HSCAN', `rooms:${random.pick(NODES)}`, '0', 'COUNT', '2'), same: scanned }),
  (random) =>
    plainCall(
      'SET',
      random.pick(TEXTS),
      String(random.whole(0, 99)),
      ...random.pick([
        [],
        ['NX'],
        ['GET'],
        ['NX', 'GET'],
        ['KEEPTTL'],
        ['PX', String(LIFE_MS)],
        ['PX', '0'],
        ['BAD'],
      ]),
    ),
  (random) =>
    plainCall(
      'SETRANGE',
      random.pick([...TEXTS, 'hash:1']),
      String(random.whole(0, 5)),
      random.pick(['', 'x', 'yz']),
    ),
  (random) => plainCall('GET', random.pick([...TEXTS, 'hash:1', 'sorted:1', 'log:a'])),
  (random) => plainCall('DEL', random.pick(['text:1', 'hash:1', 'sorted:1'])),
  (random) => plainCall('EXISTS', random.pick(TEXTS), 'hash:1', 'sorted:1'),
  (random) =>
    plainCall(
      'HINCRBY',
      random.pick(['hash:1', 'hash:1', 'text:1']),
      random.pick(['f', 'g']),
      random.pick(['1', '-1', 'x']),
    ),
  (random) =>
    plainCall(
      'HSETNX',
      random.pick(['hash:1', 'sorted:1']),
      random.pick(['f', 'g', 'h']),
      String(random.whole(0, 9)),
    ),
  (random) =>
    plainCall(
      'ZADD',
      random.pick(['sorted:1', 'sorted:1', 'text:2']),
      ...random.pick([[], ['GT', 'CH'], ['NX']]),
      String(random.whole(0, 9)),
      random.pick(['m', 'n', 'o']),
    ),
  (random) =>
    plainCall(
      'ZRANGEBYSCORE',
      'sorted:1',
      random.pick(['-inf', '(3', '2', 'x']),
      random.pick(['+inf', '(7']),
      ...random.pick([[], ['WITHSCORES'], ['LIMIT', '1', '1']]),
    ),
  (random) => plainCall('ZREMRANGEBYSCORE', 'sorted:1', '-inf', random.pick(['(2', '0'])),
  (random) => plainCall('ZREM', 'sorted:1', random.pick(['m', 'n'])),
  (random) => plainCall('PEXPIRE', random.pick(['hash:1', 'text:1', 'none']), String(LIFE_MS)),
  (random) => plainCall('PUBLISH', `log:${random.pick(ROOMS)}`, `text ${random.whole(0, 99)}`),
  (random) => plainCall('PUBSUB', 'NUMSUB', `log:${random.pick(ROOMS)}`, 'nobody'),
  () => plainCall('PING'),
];

function plainCall(...words: string[]): Call {
  return { what: words.join(' '), words };
}
