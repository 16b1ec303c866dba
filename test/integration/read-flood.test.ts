/** One client that reads as much as it can: the others notice nothing. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import type { HistoryResult, ReplyFrame } from '../../src/protocol/frames.ts';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { concatBytes } from '../../src/util/bytes.ts';
import { TestClient } from '../support/client.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const BURST = 5_000;
/** Beyond the ids that the client gives itself. */
const FIRST_ID = 1_000_000;
/** Of one connection: one is read, and 128 wait. */
const TAKEN = 129;
/** No limit that would end what a test fills a room with, or takes out of it. */
const ENV = {
  ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '0',
  ROOMCAST_LIMITS_BYTES_PER_SECOND: '0',
  ROOMCAST_HISTORY_BYTES: '0',
};

let redis: RedisServer;
let joined: NodeProcess[];
let alone: NodeProcess;
const clients: TestClient[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
  const flags = ['--redis', redis.url];
  [alone, ...joined] = await Promise.all([
    NodeProcess.start({ env: ENV }),
    NodeProcess.start({ flags, env: ENV }),
    NodeProcess.start({ flags, env: ENV }),
  ]);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.socket.terminate();
});

afterAll(async () => {
  await Promise.all([alone, ...joined].map((node) => node.stop()));
  await redis.dispose();
});

async function connect(node: NodeProcess, encoding: Encoding = 'msgpack'): Promise<TestClient> {
  const client = await TestClient.connect(node.wsUrl, { encoding });
  clients.push(client);
  return client;
}

async function fill(node: NodeProcess, room: string, messages: number, bytes: number): Promise<void> {
  const client = await connect(node);
  for (let n = 0; n < messages; n++) await client.ok('publish', room, `${n}`.padEnd(bytes, '.'));
}

/** Steps that pages of history took so far. Each node's regular check of Redis makes one too, and one of a command that nothing else uses here. */
async function pageSteps(): Promise<number> {
  return (await redis.calls('xrevrange')) - (await redis.calls('zrevrangebyscore'));
}

/** So many commands as few WebSocket messages. */
function flood(client: TestClient, type: 'history' | 'members', room: string): void {
  for (let sent = 0; sent < BURST; ) {
    const commands = Array.from({ length: 500 }, () =>
      encodeCommand([type, FIRST_ID + ++sent, room], client.encoding),
    );
    client.send(client.encoding === 'json' ? commands.join('\n') : concatBytes(commands as Uint8Array[]));
  }
}

async function metric(node: NodeProcess, series: string): Promise<number> {
  return readMetric(await (await fetch(`${node.url}/metrics`)).text(), series) ?? 0;
}

function repliesOf(client: TestClient): ReplyFrame[] {
  return client.frames.filter((frame): frame is ReplyFrame => frame[0] === 'ok' || frame[0] === 'error');
}

/** Publishes one after the other. Returns the codes of the errors. */
async function publishMany(client: TestClient, room: string, count: number): Promise<string[]> {
  const errors: string[] = [];
  for (let n = 0; n < count; n++) {
    const reply = await client.request('publish', room, n);
    if (reply[0] === 'error') errors.push(`${reply[2]}: ${reply[3]}`);
  }
  return errors;
}

describe.each(['msgpack', 'json'] as const)('a flood of reads by a client that speaks %s', (encoding) => {
  it.each(['history', 'members'] as const)('of %s fails no publish on any node', async (type) => {
    const room = `heavy:${encoding}`;
    if (type === 'history') await fill(joined[0]!, room, 100, 10_000);
    const flooder = await connect(joined[0]!, encoding);
    const bystanders = await Promise.all(joined.map((node) => connect(node)));
    await Promise.all(bystanders.map((client) => client.ok('join', 'calm')));
    flood(flooder, type, room);
    const most = { inFlight: 0, waiting: 0 };
    let isOver = false;
    const watch = async () => {
      while (!isOver) {
        most.inFlight = Math.max(most.inFlight, await metric(joined[0]!, 'roomcast_reads_in_flight'));
        most.waiting = Math.max(most.waiting, await metric(joined[0]!, 'roomcast_reads_waiting'));
      }
    };
    const watching = watch();
    const errors = await Promise.all(bystanders.map((client) => publishMany(client, 'calm', 200)));
    isOver = true;
    await watching;
    expect(errors.flat()).toEqual([]);
    for (const client of bystanders) {
      await waitFor(() => client.messages('calm').length >= 400, { for: 'all messages of both' });
    }
    expect(most.inFlight).toBeLessThanOrEqual(1);
    expect(most.waiting).toBeLessThanOrEqual(TAKEN);
    for (const node of joined) expect((await fetch(`${node.url}/readyz`)).status).toBe(200);
  });
});

it('refuses what is beyond the reads that may wait, and answers the others in full', async () => {
  await fill(joined[0]!, 'light', 100, 1_000);
  const before = await pageSteps();
  const flooder = await connect(joined[0]!);
  flood(flooder, 'history', 'light');
  await waitFor(() => repliesOf(flooder).length === BURST, { for: 'all replies', timeoutMs: 30_000 });
  const answered = repliesOf(flooder).filter(([type]) => type === 'ok');
  // One more for each page that was answered while the burst still came in.
  expect(answered.length).toBeGreaterThanOrEqual(TAKEN);
  expect(answered.length).toBeLessThan(TAKEN + 20);
  for (const [, , result] of answered) expect((result as HistoryResult).messages).toHaveLength(100);
  const refused = repliesOf(flooder).find(([type]) => type === 'error');
  expect(refused).toEqual([
    'error',
    expect.any(Number),
    'rate_limited',
    expect.stringContaining('128'),
    { retryAfterMs: expect.any(Number), limit: 'limits.waitingReads' },
  ]);
  // A page of 100 messages takes a few steps of the script.
  expect((await pageSteps()) - before).toBeLessThanOrEqual(answered.length * 8);
});

it('serves another reader meanwhile', async () => {
  await fill(joined[0]!, 'heavy', 100, 10_000);
  const flooder = await connect(joined[0]!);
  flood(flooder, 'history', 'heavy');
  const reader = await connect(joined[0]!);
  for (let n = 0; n < 5; n++) {
    expect(((await reader.ok('history', 'heavy')) as HistoryResult).messages).toHaveLength(100);
  }
  expect(Object.keys((await flooder.ok('ping')) as object)).toEqual([]);
  expect(repliesOf(flooder).filter(([type]) => type === 'ok').length).toBeLessThan(TAKEN);
});

it('serves the others of a node without Redis between two pages', async () => {
  await fill(alone, 'heavy', 100, 10_000);
  const flooder = await connect(alone, 'json');
  const bystander = await connect(alone);
  flood(flooder, 'history', 'heavy');
  expect(await publishMany(bystander, 'calm', 200)).toEqual([]);
  const pages = repliesOf(flooder).filter(([type]) => type === 'ok').length;
  expect(pages).toBeLessThan(TAKEN);
});

it('answers the newest messages where all of them are too large for one answer, oldest first', async () => {
  for (const node of [alone, joined[0]!]) {
    await fill(node, 'wide', 60, 50_000);
    for (const encoding of ['msgpack', 'json'] as const) {
      const client = await connect(node, encoding);
      const { messages, offset } = (await client.ok('history', 'wide')) as HistoryResult;
      expect(messages.length).toBeGreaterThanOrEqual(15);
      expect(messages.length).toBeLessThan(25);
      expect(messages.at(-1)![2]).toBe(offset);
      const few = (await client.ok('history', 'wide', { limit: 3 })) as HistoryResult;
      expect(few.messages.map((message) => message[2])).toEqual([offset - 2, offset - 1, offset]);
      const from = (await client.ok('history', 'wide', {
        since: [few.epoch, 10],
        limit: 2,
      })) as HistoryResult;
      expect(from.messages.map((message) => message[2])).toEqual([11, 12]);
    }
    const answer = await fetch(`${node.url}/v1/rooms/wide/history?limit=2`);
    const body = (await answer.json()) as HistoryResult;
    expect(body.messages.map((message) => message[2])).toEqual([59, 60]);
  }
});
