import { describe, expect, it } from 'vitest';
import type { ServerFrame } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { useCluster } from '../support/use-cluster.ts';
import { delay, waitFor } from '../support/wait.ts';

const used = useCluster();

const ROOM = 'chaos:signals';
const CUTS = 6;
const TICK_MS = 5;
/** The number of a publisher's last signal. */
const LAST = 1_000_000;

/** Publishes messages and signals by turns, numbered in one sequence. */
class Mixer {
  readonly #client: TestClient;
  readonly name: string;
  #next = 0;
  messages = 0;

  constructor(client: TestClient, name: string) {
    this.#client = client;
    this.name = name;
  }

  send(): void {
    const n = this.#next++;
    // Runs of one kind and single ones of both, in one WebSocket message or in several.
    const isSignal = n % 2 === 1 || n % 11 === 0;
    if (!isSignal) this.messages++;
    this.#client.sendCommand(['publish', 0, ROOM, [this.name, n], isSignal ? { ephemeral: true } : {}]);
  }

  signalLast(): void {
    this.#client.sendCommand(['publish', 0, ROOM, [this.name, LAST], { ephemeral: true }]);
  }
}

const isLast = (name: string) => (frame: ServerFrame) =>
  frame[0] === 'signal' && JSON.stringify(frame[4]) === JSON.stringify([name, LAST]);

interface Heard {
  readonly messages: Map<string, number[]>;
  readonly all: Map<string, number[]>;
  readonly offsets: number[];
}

function heardBy({ frames }: TestClient): Heard {
  const heard: Heard = { messages: new Map(), all: new Map(), offsets: [] };
  const add = (to: Map<string, number[]>, [name, n]: [string, number]) =>
    to.set(name, [...(to.get(name) ?? []), n]);
  for (const frame of frames) {
    if (frame[0] !== 'message' && frame[0] !== 'signal') continue;
    const data = (frame[0] === 'message' ? frame[5] : frame[4]) as [string, number];
    add(heard.all, data);
    if (frame[0] !== 'message') continue;
    add(heard.messages, data);
    heard.offsets.push(frame[2]);
  }
  return heard;
}

const isRising = (numbers: readonly number[]) => numbers.every((n, i) => i === 0 || n > numbers[i - 1]!);

describe('messages and signals by turns, while subscribe links are cut', { timeout: 60_000 }, () => {
  it('signals are never stored or numbered, and keep their place among the messages of their publisher', async () => {
    const urls = used.cluster.urls;
    const members = await Promise.all(
      urls.flatMap((url) => [
        TestClient.connect(url),
        TestClient.connect(url, { encoding: 'json' }),
        TestClient.connect(url),
      ]),
    );
    for (const member of members) await member.ok('join', ROOM);
    const mixers = await Promise.all(
      urls.map(async (url, i) => new Mixer(await TestClient.connect(url), `p${i}`)),
    );
    const timer = setInterval(() => {
      for (const mixer of mixers) for (let i = 0; i < 4; i++) mixer.send();
    }, TICK_MS);
    for (let i = 0; i < CUTS; i++) {
      await delay(200);
      await used.redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
    await delay(500);
    clearInterval(timer);
    const published = mixers.reduce((sum, { messages }) => sum + messages, 0);
    const messagesOf = (member: TestClient) =>
      member.frames.filter(([type]: ServerFrame) => type === 'message').length;
    // The last one of each, sent when all links are up, arrives.
    await waitFor(() => members.every((member) => messagesOf(member) === published), {
      for: `${published} messages at each member`,
      timeoutMs: 20_000,
    });
    for (const mixer of mixers) mixer.signalLast();
    await Promise.all(members.flatMap((member) => mixers.map(({ name }) => member.next(isLast(name)))));
    for (const member of members) {
      const heard = heardBy(member);
      // No number went to a signal, and no member was told of a gap.
      expect(heard.offsets).toEqual(Array.from({ length: published }, (_, i) => i + 1));
      expect(member.frames.filter(([type]) => type === 'gap' || type === 'reset')).toEqual([]);
      for (const [name, numbers] of heard.all) {
        expect(isRising(numbers), `${name}: ${numbers.join(' ')}`).toBe(true);
        expect(numbers.length).toBeGreaterThan(heard.messages.get(name)!.length + 1);
      }
    }
    expect(await stored()).toBe(published);
  });
});

/** Messages in the log of the room, counted by Redis: an entry's id ends in how many it has. */
async function stored(): Promise<number> {
  const { client } = used.redis;
  const keys = (await client.keys('*')).filter((key) => key.includes(ROOM));
  let messages = 0;
  for (const key of keys) {
    if ((await client.type(key)) !== 'stream') continue;
    const entries = await client.xrange(key, '-', '+');
    expect(entries.length).toBe(await client.xlen(key));
    for (const [id] of entries) messages += Number(id.slice(-5));
  }
  return messages;
}
