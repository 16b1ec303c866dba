/** Event streams whose nodes are killed, and readers that do not read. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { Balancer, hasHaproxy } from '../support/balancer.ts';
import { EventReader } from '../support/events.ts';
import { chaosSeed, Random } from '../support/random.ts';
import { ReturningReader } from '../support/returning-reader.ts';
import { useCluster } from '../support/use-cluster.ts';
import { delay, waitFor, within } from '../support/wait.ts';

const MIB = 1_048_576;
const CUTS = Number(process.env.CHAOS_CUTS ?? 6);
/** 100 MB in messages of 30 kB. */
const STALLED_MESSAGES = 3400;
const JSON_TYPE = { 'Content-Type': 'application/json' };
const OPEN = 'roomcast_connections{encoding="sse"}';

const used = useCluster({
  env: {
    ROOMCAST_ROOMS: JSON.stringify([
      { match: 'short:*', history: { messages: 200 } },
      { match: 'latest:*', slowReaders: 'latest' },
      { match: 'strict:*', slowReaders: 'disconnect' },
    ]),
  },
});
const seed = chaosSeed();
let balancer: Balancer | null = null;

afterEach(async () => {
  await balancer?.stop();
  balancer = null;
});

/** Publishes over HTTP until it is told that the message is stored, as a client does. */
async function publish(url: string, room: string, data: unknown): Promise<void> {
  const body = JSON.stringify({ data, key: randomUUID() });
  for (;;) {
    const request = { method: 'POST', headers: JSON_TYPE, body };
    const answer = await fetch(`${url}/v1/rooms/${encodeURIComponent(room)}/messages`, request).catch(
      () => null,
    );
    if (answer?.status === 200) return;
    await delay(20);
  }
}

/** The node that has the only event stream. */
async function nodeOfStream(): Promise<number> {
  return waitFor(
    async () => {
      for (let i = 0; i < used.cluster.nodes.length; i++) {
        if (used.cluster.nodes[i] && (await used.cluster.metric(i, OPEN)) > 0) return { i };
      }
      return null;
    },
    { timeoutMs: 20_000, for: 'the node of the stream' },
  ).then(({ i }) => i);
}

describe.skipIf(!hasHaproxy)(`a reader whose node is killed ${CUTS} times (CHAOS_SEED=${seed})`, () => {
  it('has every acknowledged message once and in order, through HAProxy', { timeout: 300_000 }, async () => {
    const random = new Random(seed);
    const room = 'chaos:events';
    const nodes = used.cluster.nodes.map((_, i) => ({ url: used.cluster.node(i).url }));
    balancer = await Balancer.start(nodes);
    const { url } = balancer;
    const reader = new ReturningReader(`${url}/v1/rooms/${encodeURIComponent(room)}/events?last=0`);
    await nodeOfStream();
    let published = 0;
    for (let cut = 0; cut < CUTS; cut++) {
      const killed = await nodeOfStream();
      const at = published + random.whole(1, 30);
      const until = at + 30;
      let killing: Promise<unknown> = Promise.resolve();
      while (published < until) {
        if (published === at) killing = used.cluster.kill(killed);
        await publish(url, room, ++published);
      }
      await killing;
      await within(20_000, `what was published after cut ${cut}`, reader.heard(published));
      await used.cluster.run(killed);
    }
    reader.close();
    expect(reader.messages).toEqual(Array.from({ length: published }, (_, i) => i + 1));
    expect(reader.breaks).toEqual([]);
    expect(reader.streams).toBeGreaterThan(CUTS);
  });
});

describe('a reader that stops reading', { timeout: 120_000 }, () => {
  it('costs bounded memory and the others nothing, is ended, and is told what it missed', async () => {
    const { url } = used.cluster.node(0);
    const path = `${url}/v1/rooms/short%3A1/events?last=0`;
    const [stuck, other] = [await EventReader.open(path), await EventReader.open(path)];
    await Promise.all([stuck, other].map((reader) => reader.until('joined', () => true)));
    const text = 'x'.repeat(30_000);
    let published = 0;
    /** Publishes so many, and resolves with the most memory that the node had in use. */
    const publishing = async (count: number): Promise<number> => {
      let most = 0;
      for (const until = published + count; published < until; published += 10) {
        await Promise.all(Array.from({ length: 10 }, () => publish(url, 'short:1', text)));
        if (published % 100 === 0) most = Math.max(most, await used.cluster.residentBytes(0));
      }
      return most;
    };
    // Garbage, which comes and goes, is not what is asked about.
    const usual = await publishing(1000);
    stuck.pause();
    const most = await publishing(STALLED_MESSAGES);
    await other.heard(published);
    const grown = (most - usual) / MIB;
    console.info(`a reader was stuck for 100 MB: the node grew by ${grown.toFixed(1)} MiB`);
    // What is kept for one reader is 1 MiB; the rest is the noise of garbage.
    expect(grown).toBeLessThan(50);
    const offsets = other.frames.filter(([type]) => type === 'message').map((frame) => frame[2]);
    expect(offsets).toEqual(Array.from({ length: published }, (_, i) => i + 1));
    await waitFor(async () => (await used.cluster.metric(0, OPEN)) === 1, {
      timeoutMs: 30_000,
      for: 'the stuck stream to end',
    });
    stuck.resume();
    await stuck.ended;
    const again = await EventReader.open(path, { headers: { 'Last-Event-ID': stuck.lastId! } });
    await again.until('the newest message', (frame) => frame[0] === 'message' && frame[2] === published);
    const [epoch, last] = [stuck.lastId!.split(',')[0], Number(stuck.lastId!.split(',')[1])];
    const [, , from, to] = again.frames[1] as [string, string, number, number];
    expect(again.frames[1]![4]).toBe('expired');
    expect([from, again.events[1]!.id, again.frames[2]![2]]).toEqual([last + 1, `${epoch},${to}`, to + 1]);
    for (const reader of [other, again]) reader.close();
  });

  it.each([
    ['goes on from history', 'resumed', 'resume'],
    ['skips to the newest, where the rule says so', 'latest:1', 'latest'],
  ])('and reads again in time %s', async (_, room, policy) => {
    const { url } = used.cluster.node(0);
    const reader = await EventReader.open(`${url}/v1/rooms/${encodeURIComponent(room)}/events?last=0`);
    await reader.until('joined', () => true);
    const slow = `roomcast_slow_readers_total{policy="${policy}"}`;
    const before = await used.cluster.metric(0, slow);
    reader.pause();
    const text = 'x'.repeat(60_000);
    let count = 0;
    while ((await used.cluster.metric(0, slow)) === before) {
      await Promise.all(Array.from({ length: 10 }, () => publish(url, room, { i: ++count, text })));
    }
    // What it was seen to lack may be the newest message, which a rule that skips to the newest still gives.
    await Promise.all(Array.from({ length: 10 }, () => publish(url, room, { i: ++count, text })));
    reader.resume();
    await publish(url, room, { i: ++count, text: 'the last' });
    await reader.until(
      'the last',
      (frame) => (frame[5] as { text?: string } | undefined)?.text === 'the last',
    );
    const offsets = reader.frames.filter(([type]) => type === 'message').map((frame) => frame[2] as number);
    const gaps = reader.frames.filter(([type]) => type === 'gap');
    if (policy === 'resume') {
      expect(offsets).toEqual(Array.from({ length: count }, (_, i) => i + 1));
      expect(gaps).toEqual([]);
    } else {
      expect(gaps.length).toBeGreaterThan(0);
      const skipped = gaps.flatMap(([, , from, to]) =>
        Array.from({ length: (to as number) - (from as number) + 1 }, (_, i) => (from as number) + i),
      );
      expect([...offsets, ...skipped].sort((a, b) => a - b)).toEqual(
        Array.from({ length: count }, (_, i) => i + 1),
      );
      for (const gap of gaps) expect(gap[4]).toBe('skipped');
    }
    reader.close();
  });

  it('is cut off where the rule says so', async () => {
    const { url } = used.cluster.node(0);
    const reader = await EventReader.open(`${url}/v1/rooms/strict%3A1/events?last=0`);
    await reader.until('joined', () => true);
    reader.pause();
    const slow = 'roomcast_slow_readers_total{policy="disconnect"}';
    const text = 'x'.repeat(60_000);
    while ((await used.cluster.metric(0, slow)) === 0) {
      await Promise.all(Array.from({ length: 10 }, () => publish(url, 'strict:1', text)));
    }
    reader.resume();
    await within(20_000, 'the end', reader.ended);
    expect(reader.frames.at(-1)?.slice(0, 2)).toEqual(['close', 4008]);
  });
});
