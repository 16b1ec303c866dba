import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { type RunningNode, startNode } from '../../src/app/start-node.ts';
import { loadConfig } from '../../src/config/load.ts';
import { codecCalls } from '../../src/protocol/calls.ts';
import { decodeServerFrames, encodeCommand } from '../../src/protocol/client-codec.ts';
import { SUBPROTOCOL } from '../../src/protocol/subprotocol.ts';
import { silentLog } from '../../src/util/log.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

let redis: RedisServer;
/** A process of its own: what it encodes is not counted here. */
let publishing: NodeProcess;
/** In this process, so that the counters of `calls.ts` are this node's. */
let relaying: RunningNode;

beforeAll(async () => {
  redis = await RedisServer.start();
  publishing = await NodeProcess.start({ flags: ['--redis', redis.url] });
  const loaded = loadConfig({ env: {}, flags: { redis: redis.url, port: '0' } });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  relaying = await startNode(loaded.config, silentLog);
});

afterAll(async () => {
  await Promise.all([publishing.stop(), relaying.stop()]);
  await redis.dispose();
});

/** Receives raw bytes and decodes nothing until asked. */
async function rawMember(room: string): Promise<{ received: Buffer[]; socket: WebSocket }> {
  const socket = new WebSocket(`${relaying.url.replace('http', 'ws')}/ws`, SUBPROTOCOL.msgpack);
  const received: Buffer[] = [];
  socket.on('message', (message) => received.push(message as Buffer));
  await new Promise((resolve) => socket.once('open', resolve));
  socket.send(encodeCommand(['join', 1, room], 'msgpack'));
  await waitFor(() => received.flatMap((bytes) => decodeServerFrames(bytes)).some(([type]) => type === 'ok'));
  received.length = 0;
  return { received, socket };
}

describe('a node that relays messages of another', () => {
  it('neither decodes nor encodes them', async () => {
    const room = 'relay:codec';
    const member = await rawMember(room);
    const publisher = await TestClient.connect(publishing.wsUrl);
    const before = { ...codecCalls };
    const total = 300;
    await Promise.all(Array.from({ length: total }, (_, n) => publisher.ok('publish', room, { n })));
    let frames = 0;
    await waitFor(() => {
      frames = member.received.flatMap((bytes) => decodeServerFrames(bytes)).length;
      return frames >= total;
    });
    expect(frames).toBe(total);
    // The reader of this test, `decodeServerFrames`, is a client's, and is not among what is counted.
    expect(codecCalls).toEqual(before);
    await publisher.close();
    member.socket.close();
  });

  it('transcodes once per batch, and only while a member reads JSON', async () => {
    const room = 'relay:json';
    const members = await Promise.all(
      [1, 2, 3].map(() =>
        TestClient.connect(`${relaying.url.replace('http', 'ws')}/ws`, { encoding: 'json' }),
      ),
    );
    for (const member of members) await member.ok('join', room);
    const publisher = await TestClient.connect(publishing.wsUrl);
    const before = { ...codecCalls };
    const total = 300;
    await Promise.all(Array.from({ length: total }, (_, n) => publisher.ok('publish', room, { n })));
    for (const member of members) await waitFor(() => member.messages(room).length === total);
    const transcoded = codecCalls.transcode - before.transcode;
    expect(transcoded).toBeGreaterThan(0);
    expect(transcoded).toBeLessThan(total / 3);
    expect(codecCalls.encode).toBe(before.encode);
    expect(codecCalls.buildMessage).toBe(before.buildMessage);
    await Promise.all([publisher, ...members].map((client) => client.close()));
  });
});
