import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Attacker } from '../../bench/floods/attacker.ts';
import { ATTACKS, FULL_ROOM } from '../../bench/floods/attacks.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import type { CommandFrame } from '../../src/protocol/frames.ts';
import { expectFlawless } from '../support/checker.ts';
import { TestClient } from '../support/client.ts';
import { Crowd, HANGS_MS } from '../support/crowd.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { delay, waitFor } from '../support/wait.ts';

/** With the limits that a node has where nobody set any. */
let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start({
    env: { ROOMCAST_HISTORY_MESSAGES: '10000', ROOMCAST_HISTORY_BYTES: '0' },
  });
});

afterAll(() => node.stop());

function attacker(name: string): Attacker {
  const attack = ATTACKS.find((one) => one.name === name);
  if (attack === undefined) throw new Error(`there is no attack "${name}"`);
  const { hostname: host, port } = new URL(node.url);
  return new Attacker(attack, { host, port: Number(port) });
}

async function floods(reasons: readonly string[]): Promise<number> {
  const answer = await fetch(`${node.url}/metrics`);
  const text = await answer.text();
  const counts = reasons.map((reason) => readMetric(text, `roomcast_floods_total{reason="${reason}"}`) ?? 0);
  return counts.reduce((sum, count) => sum + count, 0);
}

function residentBytes(): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${node.pid}/status`, 'utf8'))![1]) * 1024;
}

/** Has a crowd go on while `attack` runs, and holds that each of its members got everything. */
async function beside(title: string, attack: () => Promise<void>): Promise<void> {
  const room = `floods:${title}`;
  const crowd = await Crowd.gather({ room, urls: [node.wsUrl], members: [20], publishers: [0] });
  crowd.publish(100);
  await crowd.heard(20);
  await attack();
  await crowd.heard(20);
  const verdict = await crowd.conclude(title);
  expectFlawless(verdict);
  expect(verdict).toMatchObject({ gaps: 0, resets: 0 });
  for (const { connections } of [...crowd.members, ...crowd.publishers]) expect(connections).toBe(1);
  expect(crowd.slowestAnswerMs()).toBeLessThan(HANGS_MS);
  await crowd.disperse();
}

describe('a socket that sends as fast as it can', { timeout: 60_000 }, () => {
  it.each([
    ['empty messages', 'messages'],
    ['messages of line ends, JSON', 'bytes'],
    ['pongs', 'control_frames'],
    ['pings of 125 bytes', 'control_frames'],
    // Commands wait for their turn, so what comes first depends on the speed of the sender, and of the machine.
    ['4,000 pings a message', 'commands', 'bytes'],
    ['4,000 pings a message, JSON', 'commands', 'bytes'],
    ['single pings', 'commands'],
    ['publishes of 60 kB', 'commands', 'bytes'],
    ['publishes of 60 kB, JSON', 'commands', 'bytes'],
  ])('(%s) is closed with 4009 and counted; nobody else notices', async (name, ...reasons) => {
    const before = await floods(reasons);
    await beside(name, async () => {
      const one = attacker(name);
      one.start();
      // It comes again when it is closed.
      await waitFor(() => (one.closes[4009] ?? 0) >= 3, {
        timeoutMs: 15_000,
        for: `three closes with 4009 of ${name}`,
      });
      one.stop();
    });
    expect(await floods(reasons)).toBeGreaterThanOrEqual(before + 3);
  });
});

/** Has a room hold messages of so many bytes. By the API, which has no limit of bytes a second. */
async function fill(room: string, messages: number, bytes: number): Promise<void> {
  const message = { room, data: 'x'.repeat(bytes) };
  const body = JSON.stringify({ messages: Array.from({ length: messages }, () => message) });
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(`${node.url}/v1/publish/batch`, { method: 'POST', headers, body });
  expect(answer.status).toBe(200);
}

/** By how many bytes the node grows at most while it is attacked. */
async function growthUnder(name: string): Promise<number> {
  const before = residentBytes();
  let most = 0;
  await beside(name, async () => {
    const one = attacker(name);
    one.start();
    for (let look = 0; look < 40; look++) {
      await delay(50);
      most = Math.max(most, residentBytes());
    }
    one.stop();
  });
  return most - before;
}

describe('a socket that joins a full room and leaves it, again and again', { timeout: 60_000 }, () => {
  it.each(['joins of 1 MB, 40 a second', 'joins of 1 MB, 1,000 at once'])(
    'holds up nobody (%s)',
    async (name) => {
      await fill(FULL_ROOM, 100, 10_000);
      const growth = await growthUnder(name);
      expect(growth).toBeLessThan(100_000_000);
    },
  );
});

describe('three hundred messages that are begun and never finished', { timeout: 60_000 }, () => {
  it.each(['unfinished messages of 64 KiB, 300 sockets', 'unfinished messages of 1.1 MB, 300 sockets'])(
    'hold a little over maxPayload each (%s)',
    async (name) => {
      const growth = await growthUnder(name);
      // 300 x 68 KiB are 21 MB; the rest is what else a node does meanwhile. Of 1.1 MB they would be 320 MB.
      expect(growth).toBeLessThan(100_000_000);
    },
  );
});

describe('an honest client', () => {
  it.each(['msgpack', 'json'] as const)('may send 500 publishes in one message (%s)', async (encoding) => {
    const client = await TestClient.connect(node.wsUrl, { encoding });
    const room = `honest:${encoding}`;
    await client.ok('join', room);
    const frames = Array.from({ length: 500 }, (_, i): CommandFrame => ['publish', 1000 + i, room, 'hello']);
    const encoded = frames.map((frame) => encodeCommand(frame, encoding));
    client.send(
      encoding === 'json'
        ? encoded.join('\n')
        : Buffer.concat(encoded.map((frame) => Buffer.from(frame as Uint8Array))),
    );
    await client.next(([type, id]) => type === 'ok' && id === 1499);
    await waitFor(() => client.messages(room).length === 500);
    expect(client.frames.filter(([type]) => type === 'error')).toEqual([]);
    await client.close();
  });

  it('may join a hundred rooms at once, and catch up in all of them', async () => {
    const publisher = await TestClient.connect(node.wsUrl);
    const rooms = Array.from({ length: 100 }, (_, i) => `honest:room:${i}`);
    const positions = await Promise.all(
      rooms.map((room) => publisher.ok<{ epoch: string; offset: number }>('publish', room, 0)),
    );
    await Promise.all(rooms.flatMap((room) => [1, 2, 3].map((n) => publisher.ok('publish', room, n))));
    const client = await TestClient.connect(node.wsUrl);
    await Promise.all(
      rooms.map((room, i) => client.ok('join', room, { since: [positions[i]!.epoch, positions[i]!.offset] })),
    );
    await waitFor(() => rooms.every((room) => client.messages(room).length === 3));
    await Promise.all([publisher.close(), client.close()]);
  });

  it.each(['msgpack', 'json'] as const)(
    'may catch up with far more than what may wait for it to read (%s)',
    async (encoding) => {
      const rooms = Array.from({ length: 100 }, (_, i) => `honest:full:${encoding}:${i}`);
      for (const room of rooms) await fill(room, 20, 10_000);
      const client = await TestClient.connect(node.wsUrl, { encoding });
      const since = { since: ['', 0] };
      const joined = await Promise.all(
        rooms.map((room) => client.ok<{ recovered: boolean }>('join', room, since)),
      );
      expect(joined.filter(({ recovered }) => recovered)).toHaveLength(100);
      await waitFor(() => client.frames.filter(([type]) => type === 'message').length === 2000, {
        timeoutMs: 20_000,
      });
      expect(rooms.map((room) => client.messages(room).length)).toEqual(rooms.map(() => 20));
      await client.close();
    },
  );
});
