/** What a thousand clients that come, talk and close leave behind: in this process, and in the node that they were connected to. */
import { readdir } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RoomcastClient } from '../../src/client/node.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { waitFor } from '../support/wait.ts';

const CLIENTS = 1_000;
const AT_ONCE = 50;
/** For each client. One that is held, with its buffers, takes about ten times as much. */
const KEPT_BYTES = 2_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start();
});

afterAll(() => node.kill());

/** Joins, talks, asks, and closes: by itself, or while something is under way. */
async function comeAndGo(number: number): Promise<WeakRef<RoomcastClient>> {
  const client = new RoomcastClient(node.wsUrl);
  const room = client.room<number>(`leaks:${number % 10}`, { last: 1 });
  room.on('message', () => undefined);
  const joined = new Promise((resolve) => room.on('joined', resolve));
  await room.publish(number);
  await joined;
  await room.history({ limit: 1 });
  const [loop, under, way] = [readAll(room), settled(room.publish(number)), settled(room.listMembers())];
  client.close();
  await Promise.all([loop, under, way]);
  return new WeakRef(client);
}

async function readAll(room: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of room);
}

async function settled(work: Promise<unknown>): Promise<void> {
  await work.catch(() => undefined);
}

async function crowd(count: number): Promise<WeakRef<RoomcastClient>[]> {
  const all: WeakRef<RoomcastClient>[] = [];
  for (let from = 0; from < count; from += AT_ONCE)
    all.push(...(await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => comeAndGo(from + i)))));
  await waitFor(async () => (await connections()) === 0, { for: 'the node to see all of them go' });
  return all;
}

async function connections(): Promise<number> {
  const metrics = await (await fetch(`${node.url}/metrics`)).text();
  return readMetric(metrics, 'roomcast_connections') ?? 0;
}

/** Open sockets, timers and the like of this process, by kind. */
function resources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

async function openFiles(): Promise<number> {
  return (await readdir(`/proc/${node.pid}/fd`)).length;
}

/** Twice, with a turn between: finalizers and what they let go. */
async function heapBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collectGarbage();
    await new Promise((done) => setImmediate(done));
  }
  return process.memoryUsage().heapUsed;
}

describe(`${CLIENTS} clients that connect and close`, () => {
  it('leave no object, socket or timer behind, and no file of the node', { timeout: 60_000 }, async () => {
    await crowd(100);
    const [bytes, kinds, files] = [await heapBytes(), resources(), await openFiles()];
    const clients = await crowd(CLIENTS);
    const grownBytes = (await heapBytes()) - bytes;
    console.log(`[client] ${CLIENTS} clients came and went: heap grew by ${grownBytes} bytes`, resources());
    expect(clients.filter((client) => client.deref() !== undefined)).toHaveLength(0);
    expect(grownBytes).toBeLessThan(CLIENTS * KEPT_BYTES);
    for (const kind of ['Timeout', 'TCPSocketWrap', 'TCPConnectWrap'])
      expect(resources()[kind] ?? 0, kind).toBeLessThanOrEqual(kinds[kind] ?? 0);
    expect(await openFiles()).toBeLessThanOrEqual(files);
  });
});
