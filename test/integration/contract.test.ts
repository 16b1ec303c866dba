/** What PROTOCOL.md tells client authors about order, echo, positions and replies, tried against a node of each kind. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HistoryResult, JoinResult, PublishResult, ServerFrame } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const ROOMS = [
  { match: 'few', history: { messages: 3 } },
  { match: 'none', history: false },
];

describe.each(['memory', 'redis'] as const)('a client of a node over %s', (kind) => {
  let redis: RedisServer | null = null;
  let node: NodeProcess;
  const clients: TestClient[] = [];

  beforeAll(async () => {
    redis = kind === 'redis' ? await RedisServer.start() : null;
    const flags = redis === null ? [] : ['--redis', redis.url];
    node = await NodeProcess.start({ flags, env: { ROOMCAST_ROOMS: JSON.stringify(ROOMS) } });
  });

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
  });

  afterAll(async () => {
    await node.stop();
    await redis?.dispose();
  });

  async function connect(): Promise<TestClient> {
    const client = await TestClient.connect(node.wsUrl, { encoding: 'json' });
    clients.push(client);
    await client.hello();
    return client;
  }

  /** Sends lines of JSON, with ids above 100, in one WebSocket message; resolves with all frames up to the answer to a last `ping`. */
  async function tell(client: TestClient, ...lines: string[]): Promise<ServerFrame[]> {
    const before = client.frames.length;
    client.send([...lines, '["ping",999]'].join('\n'));
    const replies = () => client.frames.slice(before).filter(([type]) => type === 'ok' || type === 'error');
    await waitFor(() => replies().length > lines.filter((line) => line !== '').length, {
      for: 'all replies',
    });
    return client.frames.slice(before);
  }

  const dataOf = (frames: readonly ServerFrame[]) =>
    frames.flatMap((frame) => (frame[0] === 'message' ? [frame[5]] : []));
  const has = (client: TestClient, room: string, offset: number) =>
    waitFor(() => client.messages(room).some((frame) => frame[2] === offset), { for: `${room} ${offset}` });

  async function publish(client: TestClient, room: string, ...data: unknown[]): Promise<PublishResult[]> {
    const results: PublishResult[] = [];
    for (const one of data) results.push(await client.ok<PublishResult>('publish', room, one));
    return results;
  }

  it('gets a reply to each command by its id, in any order, and twice for an id that is used twice', async () => {
    const client = await connect();
    const frames = await tell(
      client,
      '["history",1,"replies"]',
      '["ping",2]',
      '["ping",2]',
      '["members",3,"replies"]',
    );
    const ids = frames.map(([, id]) => id as number);
    expect([...ids].sort((a, b) => a - b)).toEqual([1, 2, 2, 3, 999]);
    expect(ids.indexOf(2)).toBeLessThan(ids.indexOf(1));
  });

  it('may send empty messages and empty lines', async () => {
    const client = await connect();
    client.send('');
    expect(await tell(client, '', '["ping",1]', '')).toEqual([
      ['ok', 1, {}],
      ['ok', 999, {}],
    ]);
  });

  it('gets one order of what it publishes in a room, whatever it does in between', async () => {
    const client = await connect();
    const frames = await tell(
      client,
      '["publish",101,"steps",1]',
      '["join",102,"steps"]',
      '["publish",103,"steps",2]',
      '["leave",104,"steps"]',
      '["publish",105,"steps",3]',
    );
    const offsets = [101, 103, 105].map((id) => {
      const reply = frames.find((frame) => frame[0] === 'ok' && frame[1] === id)!;
      return (reply[2] as PublishResult).offset;
    });
    expect(offsets).toEqual([1, 2, 3]);
    const { messages } = await client.ok<HistoryResult>('history', 'steps');
    expect(dataOf(messages)).toEqual([1, 2, 3]);
  });

  it('gets nothing of a room after the ok to leave, and may come back with its position', async () => {
    const [client, other] = [await connect(), await connect()];
    const { epoch } = await client.ok<JoinResult>('join', 'left');
    await publish(other, 'left', 1);
    await has(client, 'left', 1);
    const frames = await tell(client, '["leave",101,"left"]', '["publish",102,"left",2]');
    await publish(other, 'left', 3);
    await client.ok('ping');
    const left = client.frames.findIndex(
      (frame) => frame === frames.find(([type, id]) => type === 'ok' && id === 101),
    );
    expect(dataOf(client.frames.slice(left))).toEqual([]);
    expect(await client.ok<JoinResult>('join', 'left', { since: [epoch, 1] })).toMatchObject({
      recovered: true,
    });
    await has(client, 'left', 3);
    expect(dataOf(client.messages('left'))).toEqual([1, 2, 3]);
  });

  it('gets the ok to a join first, then the gap, then messages', async () => {
    const [client, other] = [await connect(), await connect()];
    await publish(other, 'few', 1, 2, 3, 4, 5, 6);
    await client.ok('join', 'few', { since: ['', 0] });
    await has(client, 'few', 6);
    const types = client.frames.filter((frame) => frame[0] !== 'hello').map(([type]) => type);
    expect(types).toEqual(['ok', 'gap', 'message', 'message', 'message']);
  });

  it('gets its own message once, before the ok or after it, with the offset of the ok', async () => {
    const client = await connect();
    await client.ok('join', 'own');
    for (let n = 1; n <= 50; n++) {
      const [{ offset }] = (await publish(client, 'own', n)) as [PublishResult];
      await has(client, 'own', offset);
      expect(client.messages('own').filter((frame) => frame[2] === offset)).toMatchObject([{ 5: n }]);
    }
  });

  it('never gets a message without an echo, not by joining again either; another connection does', async () => {
    const [client, other] = [await connect(), await connect()];
    const { epoch } = await client.ok<JoinResult>('join', 'silent');
    await other.ok('join', 'silent');
    const { offset } = await client.ok<PublishResult>('publish', 'silent', 'own', { echo: false });
    await publish(client, 'silent', 'next');
    await has(client, 'silent', offset + 1);
    await has(other, 'silent', offset + 1);
    expect(dataOf(client.messages('silent'))).toEqual(['next']);
    expect(client.frames.some(([type]) => type === 'gap')).toBe(false);
    expect(dataOf(other.messages('silent'))).toEqual(['own', 'next']);
    await client.ok('join', 'silent', { since: [epoch, 0] });
    await client.ok('join', 'silent', { last: 10 });
    await waitFor(() => client.messages('silent').length === 3, { for: 'the message again, twice' });
    expect(dataOf(client.messages('silent'))).toEqual(['next', 'next', 'next']);
    const back = await connect();
    await back.ok('join', 'silent', { since: [epoch, offset - 1] });
    await has(back, 'silent', offset + 1);
    expect(dataOf(back.messages('silent'))).toEqual(['own', 'next']);
  });

  it('is reset from a position that is ahead of the room, and finds no history after it', async () => {
    const client = await connect();
    const [{ epoch }] = (await publish(client, 'ahead', 1, 2)) as [PublishResult, PublishResult];
    const since = [epoch, 99];
    expect(await client.ok<JoinResult>('join', 'ahead', { since })).toMatchObject({
      recovered: false,
      offset: 2,
    });
    await has(client, 'ahead', 2);
    const pushes = client.frames.filter(([type]) => type === 'reset' || type === 'message');
    expect(pushes).toMatchObject([['reset', 'ahead', epoch, 0], { 5: 1 }, { 5: 2 }]);
    expect(await client.ok('history', 'ahead', { since })).toEqual({ epoch, offset: 2, messages: [] });
    for (const room of ['unused', 'none']) {
      expect(await client.ok('history', room)).toEqual({ epoch: '', offset: 0, messages: [] });
    }
  });

  it('pages back through all that a room keeps, without a hole and without a repeat', async () => {
    const client = await connect();
    for (const [room, count, begins] of [
      ['paged', 23, 1],
      ['few', 4, null],
    ] as const) {
      await publish(client, room, ...Array.from({ length: count }, (_, n) => n));
      const first = await client.ok<HistoryResult>('history', room, { limit: 2 });
      const shown = first.messages.map((frame) => frame[2]);
      for (;;) {
        const [oldest, n] = [shown[0]!, 5];
        const since = [first.epoch, Math.max(0, oldest - 1 - n)];
        const page = await client.ok<HistoryResult>('history', room, { since, limit: n });
        const older = page.messages.map((frame) => frame[2]).filter((offset) => offset < oldest);
        if (older.length === 0) break;
        expect(older.at(-1)).toBe(oldest - 1);
        shown.unshift(...older);
      }
      const from = begins ?? first.offset - 2;
      expect(shown).toEqual(Array.from({ length: first.offset - from + 1 }, (_, n) => from + n));
    }
  });

  it('keeps the place of the first attempt when it tries again, and nobody gets it twice', async () => {
    const [client, reader] = [await connect(), await connect()];
    await reader.ok('join', 'retry');
    const first = await client.ok<PublishResult>('publish', 'retry', 'a', { key: 'k' });
    await publish(client, 'retry', 'b');
    expect(await client.ok('publish', 'retry', 'a', { key: 'k' })).toEqual({ ...first, duplicate: true });
    await publish(client, 'retry', 'c');
    await has(reader, 'retry', 3);
    expect(dataOf(reader.messages('retry'))).toEqual(['a', 'b', 'c']);
  });

  it('may publish where it is not a member, and gets only the ok', async () => {
    const [client, reader] = [await connect(), await connect()];
    await reader.ok('join', 'outside');
    await publish(client, 'outside', 'hello');
    await has(reader, 'outside', 1);
    await client.ok('ping');
    expect(client.messages('outside')).toEqual([]);
  });
});
