import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JoinResult, MessageFrame, PublishResult } from '../../src/protocol/frames.ts';
import { TestClient, UpgradeRefused } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { waitFor } from '../support/wait.ts';

let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start({
    env: {
      ROOMCAST_LIMITS_ROOMS_PER_CONNECTION: '3',
      ROOMCAST_HEARTBEAT_INTERVAL_MS: '1000',
      ROOMCAST_ROOMS: JSON.stringify([
        { match: 'live:*', history: false },
        { match: 'closed:*', join: 'nobody' },
        { match: 'members:*', publish: 'members' },
        { match: 'news:*', publish: 'server' },
      ]),
    },
  });
});

afterAll(async () => {
  expect(await node.stop()).toBe(0);
});

function client(encoding: 'msgpack' | 'json' = 'msgpack'): Promise<TestClient> {
  return TestClient.connect(node.wsUrl, { encoding });
}

describe.each(['msgpack', 'json'] as const)('a %s connection', (encoding) => {
  it('is welcomed with its id, the node and the limits', async () => {
    const one = await client(encoding);
    expect(await one.hello()).toEqual({
      connection: expect.stringMatching(/^[a-z0-9]{8}-[a-z0-9]+$/),
      node: expect.stringMatching(/^[a-z0-9]{8}$/),
      user: null,
      heartbeatMs: 1000,
      maxPayload: 65_536,
      version: 1,
      dedupWindowMs: 300_000,
      silentAfterMs: 1200,
      limits: {
        rooms: 3,
        commandsPerSecond: 1000,
        commandBurst: 5000,
        bytesPerSecond: 2_097_152,
        last: 1000,
        presenceBytes: 1024,
        key: 64,
        room: 128,
      },
    });
    expect(one.frames[0]![0]).toBe('hello');
    await one.close();
  });

  it('joins, publishes, receives its own message and leaves', async () => {
    const one = await client(encoding);
    const { connection } = await one.hello();
    const room = `chat:${encoding}`;
    const joined = await one.ok<JoinResult>('join', room);
    expect(joined).toEqual({ epoch: expect.any(String), offset: 0, recovered: false });
    const published = await one.ok<PublishResult>('publish', room, { text: 'hello, wörld 👋', n: 2 ** 40 });
    expect(published).toEqual({ epoch: joined.epoch, offset: 1 });
    const message = (await one.next(([type]) => type === 'message')) as MessageFrame;
    expect(message).toEqual([
      'message',
      room,
      1,
      expect.any(Number),
      connection,
      { text: 'hello, wörld 👋', n: 2 ** 40 },
    ]);
    expect(Math.abs(message[3] - Date.now())).toBeLessThan(60_000);
    expect(await one.ok('leave', room)).toEqual({});
    await one.ok('publish', room, 'unheard');
    expect(await one.request('leave', room)).toMatchObject([
      'error',
      expect.any(Number),
      'not_joined',
      expect.any(String),
    ]);
    expect(one.messages(room)).toHaveLength(1);
    await one.close();
  });

  it('gets history: the newest without a position, the oldest after one', async () => {
    const one = await client(encoding);
    const room = `history:${encoding}`;
    for (let n = 1; n <= 5; n++) await one.ok('publish', room, n);
    const newest = await one.ok<{ epoch: string; offset: number; messages: MessageFrame[] }>(
      'history',
      room,
      { limit: 2 },
    );
    expect(newest.messages.map(([, , offset, , , data]) => [offset, data])).toEqual([
      [4, 4],
      [5, 5],
    ]);
    const since = [newest.epoch, 1];
    const after = await one.ok<typeof newest>('history', room, { since, limit: 2 });
    expect(after.messages.map(([, , offset]) => offset)).toEqual([2, 3]);
    expect(after.offset).toBe(5);
    await one.close();
  });

  it('is told what is wrong with a frame, and lives', async () => {
    const one = await client(encoding);
    const refused: [frame: unknown[], code: string][] = [
      [['dance', 1], 'bad_frame'],
      [['join', 2, 7], 'bad_frame'],
      [['join', 3, ''], 'bad_room'],
      [['join', 4, 'a*b'], 'bad_room'],
      [['join', 5, '$user:ann'], 'forbidden'],
      [['publish', 6, '$user:ann', 1], 'forbidden'],
      [['join', 7, 'closed:1'], 'forbidden'],
      [['publish', 8, 'members:1', 1], 'not_joined'],
      [['publish', 9, 'news:1', 1], 'forbidden'],
      [['publish', 10, 'a', 1, { key: 'x'.repeat(65) }], 'bad_request'],
    ];
    for (const [frame, code] of refused) {
      one.sendCommand(frame as never);
      const reply = await one.next(([type, id]) => type === 'error' && id === frame[1]);
      expect(reply).toEqual(['error', frame[1], code, expect.any(String)]);
    }
    expect(await one.ok('ping')).toEqual({});
    await one.close();
  });

  it('is in at most as many rooms as it may be', async () => {
    const one = await client(encoding);
    for (const room of ['r1', 'r2', 'r3']) await one.ok('join', room);
    expect(await one.request('join', 'r4')).toEqual([
      'error',
      expect.any(Number),
      'limit_exceeded',
      expect.any(String),
      { limit: 'limits.roomsPerConnection' },
    ]);
    await one.ok('leave', 'r1');
    await one.ok('join', 'r4');
    await one.close();
  });

  it('gets messages without offsets in a room without history', async () => {
    const one = await client(encoding);
    expect(await one.ok('join', `live:${encoding}`)).toEqual({ epoch: '', offset: 0, recovered: false });
    expect(await one.ok('publish', `live:${encoding}`, 'now')).toEqual({ epoch: '', offset: 0 });
    expect(await one.next(([type]) => type === 'message')).toEqual([
      'message',
      `live:${encoding}`,
      0,
      expect.any(Number),
      expect.any(String),
      'now',
    ]);
    await one.close();
  });
});

describe('a node', () => {
  it('delivers 500 publishes of one WebSocket message in order, in far fewer WebSocket messages', async () => {
    const room = 'batch:500';
    const [publisher, member] = await Promise.all([client(), client()]);
    await member.ok('join', room);
    const before = member.websocketMessages;
    const { encodeCommand } = await import('../../src/protocol/client-codec.ts');
    const frames = Array.from({ length: 500 }, (_, n) =>
      encodeCommand(['publish', n + 1, room, { n }], 'msgpack'),
    );
    publisher.send(Buffer.concat(frames as Uint8Array[]));
    await waitFor(() => member.messages(room).length === 500);
    expect(
      member.messages(room).map(([, , offset, , , data]) => [offset, (data as { n: number }).n]),
    ).toEqual(Array.from({ length: 500 }, (_, n) => [n + 1, n]));
    expect(member.websocketMessages - before).toBeLessThan(25);
    await waitFor(() => publisher.frames.filter(([type]) => type === 'ok').length === 500);
    await Promise.all([publisher.close(), member.close()]);
  });

  it('answers a message of the other kind with one error, and lives', async () => {
    for (const encoding of ['msgpack', 'json'] as const) {
      const one = await client(encoding);
      const text = '["join",1,"lobby"]\n'.repeat(100);
      one.send(encoding === 'msgpack' ? text : Buffer.from(text));
      expect(await one.ok('ping')).toEqual({});
      expect(one.frames.filter(([type]) => type === 'error')).toEqual([
        ['error', 0, 'bad_frame', expect.stringMatching(/speaks (MessagePack|JSON)/)],
      ]);
      await one.close();
    }
  });

  it('closes with 1007 what cannot be decoded', async () => {
    const binary = await client();
    binary.send(Buffer.from([0xc1]));
    expect((await binary.closed).code).toBe(1007);
    const text = await client('json');
    text.send('{"not": ');
    expect((await text.closed).code).toBe(1007);
  });

  it('closes with 1009 what is too large', async () => {
    const one = await client();
    one.send(Buffer.alloc(65_537, 0xc0));
    expect((await one.closed).code).toBe(1009);
  });

  it('closes with 4504 who keeps breaking the protocol', async () => {
    const one = await client('json');
    one.send('[]\n'.repeat(150));
    expect(await one.closed).toEqual({ code: 4504, reason: 'protocol violations' });
  });

  it('talks JSON with a client that offers no subprotocol, and refuses one that offers only unknown ones', async () => {
    const plain = await TestClient.connect(node.wsUrl, { encoding: 'json', protocols: [] });
    expect(await plain.hello()).toMatchObject({ version: 1 });
    await plain.close();
    const unknown = TestClient.connect(node.wsUrl, { protocols: ['graphql-ws'] });
    await expect(unknown).rejects.toMatchObject({ name: UpgradeRefused.name, status: 400 });
  });

  it('closes with 4010 a socket that falls silent, and keeps one that answers pings', async () => {
    const { port, hostname } = new URL(node.url);
    const silent = connect(Number(port), hostname);
    silent.write(
      `GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${'A'.repeat(22)}==\r\n\r\n`,
    );
    const alive = await client();
    const received: Buffer[] = [];
    silent.on('data', (data: Buffer) => received.push(data));
    await once(silent, 'close');
    const closeFrame = Buffer.concat(received).subarray(-2 - 'heartbeat timeout'.length);
    expect(closeFrame.readUInt16BE(0)).toBe(4010);
    expect(closeFrame.subarray(2).toString()).toBe('heartbeat timeout');
    expect(await alive.ok('ping')).toEqual({});
    const metrics = await (await fetch(`${node.url}/metrics`)).text();
    expect(metrics).toMatch(/roomcast_heartbeat_timeouts_total 1\n/);
    expect(Number(/roomcast_heartbeat_round_trip_seconds_count (\d+)/.exec(metrics)![1])).toBeGreaterThan(0);
    await alive.close();
  });

  it('says bye and closes with 1012 when it is told to stop, and exits with 0', async () => {
    const other = await NodeProcess.start();
    const one = await TestClient.connect(other.wsUrl);
    await one.ok('join', 'a');
    const stopped = other.stop();
    expect(await one.next(([type]) => type === 'bye')).toEqual([
      'bye',
      1012,
      { reconnectAfterMs: expect.any(Number) },
    ]);
    expect((await one.closed).code).toBe(1012);
    expect(await stopped).toBe(0);
  });
});
