import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import { SUBPROTOCOL } from '../../src/protocol/subprotocol.ts';
import { expectFlawless } from '../support/checker.ts';
import { TestClient } from '../support/client.ts';
import { Crowd } from '../support/crowd.ts';
import { chaosSeed, Random } from '../support/random.ts';
import { useCluster } from '../support/use-cluster.ts';

const HOSTILE = 50;
const LASTING_MS = 8_000;
/** Of each peer, however long that takes: a busy machine sends fewer in the same time. */
const LEAST_MESSAGES = 25;

const used = useCluster({ nodes: 1 });

/** What WebSocket messages of an ill-meaning peer look like. */
const MESSAGES: readonly ((random: Random) => string | Buffer)[] = [
  (random) => random.bytes(random.whole(0, 300)),
  (random) => random.bytes(random.whole(0, 300)).toString('latin1'),
  (random) => Buffer.alloc(random.pick([65_535, 65_536, 65_537, 200_000, 2_000_000]), 0xc0),
  // Lists within lists, and lengths that are not there.
  (random) => Buffer.alloc(random.whole(1, 60_000), random.pick([0x91, 0x81, 0xdc, 0xdd, 0xdf, 0xc6, 0xdb])),
  (random) => '['.repeat(random.whole(1, 60_000)),
  (random) =>
    JSON.stringify([random.pick(['join', 'publish', 'auth', '__proto__', '']), ...oddities(random)]),
  (random) =>
    packed([random.pick(['join', 'leave', 'publish', 'history', 'members', 'ping']), ...oddities(random)]),
  (random) => {
    const whole = packed(['publish', 1, 'hostile:room', { text: 'x'.repeat(random.whole(0, 500)) }]);
    return whole.subarray(0, random.whole(0, whole.length));
  },
  (random) => {
    const altered = packed(['join', 7, 'hostile:room', { since: ['abcdefgh', 5] }]);
    altered[random.whole(0, altered.length - 1)] = random.whole(0, 255);
    return altered;
  },
  (random) => Buffer.concat(Array.from({ length: random.whole(1, 500) }, () => packed(['join', 1, 'a*b']))),
];

function oddities(random: Random): unknown[] {
  const odd = [
    0,
    -1,
    1e308,
    2 ** 53,
    null,
    true,
    '',
    'hostile:room',
    '\u0000',
    'x'.repeat(200),
    [],
    {},
    [[[]]],
  ];
  const options = [{ since: ['', -1] }, { since: 7 }, { limit: -5 }, { limit: 1e9 }, { key: 'k'.repeat(65) }];
  return Array.from({ length: random.whole(0, 5) }, () => random.pick<unknown>([...odd, ...options]));
}

function packed(frame: readonly unknown[]): Buffer {
  return Buffer.from(encodeCommand(frame as never, 'msgpack') as Uint8Array);
}

/** What a peer says that does not even speak WebSocket. */
const GREETINGS: readonly ((random: Random) => Buffer | string)[] = [
  (random) => random.bytes(random.whole(1, 2_000)),
  () => 'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n',
  (random) => `GET /${'x'.repeat(random.whole(0, 20_000))} HTTP/1.1\r\n`,
  (random) =>
    `POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"room":${random.whole(0, 9)}`,
  () => 'POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"room":[]',
];

/** One ill-meaning peer after another, until `untilMs` and enough was sent. Resolves with how many messages were. */
async function harass(url: string, random: Random, untilMs: number): Promise<number> {
  let sent = 0;
  while (performance.now() < untilMs || sent < LEAST_MESSAGES) {
    if (random.next() < 0.1) await greet(url, random);
    else sent += await torment(url, random);
  }
  return sent;
}

async function greet(url: string, random: Random): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.resume();
  await new Promise((resolve) => {
    socket.once('close', resolve);
    socket.write(random.pick(GREETINGS)(random), () =>
      setTimeout(() => socket.destroy(), random.whole(0, 100)),
    );
  });
}

/** Sends messages until the node closes the connection, or it has had enough of it. */
function torment(url: string, random: Random): Promise<number> {
  const socket = new WebSocket(url, random.pick(Object.values(SUBPROTOCOL)));
  let sent = 0;
  return new Promise((resolve) => {
    socket.on('error', () => undefined);
    socket.once('close', () => resolve(sent));
    socket.once('open', () => {
      const left = random.whole(1, 30);
      const next = () => {
        if (socket.readyState !== WebSocket.OPEN) return;
        if (sent++ >= left) return random.next() < 0.5 ? socket.close() : socket.terminate();
        socket.send(random.pick(MESSAGES)(random), () => setTimeout(next, random.whole(10, 60)));
      };
      next();
    });
  });
}

describe('fifty connections of malformed, oversized and hostile input', { timeout: 120_000 }, () => {
  it('do not end the node, and nobody else notices', async () => {
    const seed = chaosSeed();
    const crowd = await Crowd.gather({
      room: 'chaos:hostile',
      urls: used.cluster.urls,
      members: [50],
      publishers: [0, 0],
    });
    crowd.publish(500);
    await crowd.heard(1_000);
    const calm = crowd.acknowledged.length;
    const untilMs = performance.now() + LASTING_MS;
    const sent = await Promise.all(
      Array.from({ length: HOSTILE }, (_, i) => harass(used.cluster.urls[0]!, new Random(seed + i), untilMs)),
    );
    const total = sent.reduce((sum, count) => sum + count, 0);
    const before = crowd.p99Ms(crowd.members, 300, calm);
    const meanwhile = crowd.p99Ms(crowd.members, calm);
    const verdict = await crowd.conclude(
      `hostile input (seed ${seed})`,
      () =>
        `hostile messages ${total}, p99 ${before.toFixed(1)} ms before, ${meanwhile.toFixed(1)} ms meanwhile`,
    );
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ gaps: 0, resets: 0 });
    expect(total).toBeGreaterThan(1_000);
    for (const { connections } of [...crowd.members, ...crowd.publishers]) expect(connections).toBe(1);
    // Both cores are full of this test's own noise: a node that hangs shows as seconds.
    expect(crowd.slowestAnswerMs()).toBeLessThan(2_000);
    expect(meanwhile).toBeLessThan(1_500);
    expect(used.cluster.node(0).log.filter(({ level }) => Number(level) >= 50 || level === 'error')).toEqual(
      [],
    );
    const visitor = await TestClient.connect(used.cluster.urls[0]!);
    expect(await visitor.ok('ping')).toEqual({});
    await Promise.all([crowd.disperse(), visitor.close()]);
  });
});
