/** What limits a room's history besides the number of messages: their size and their age, on both backplanes. */
import { describe, expect, it } from 'vitest';
import { RedisBackplane } from '../../src/backplane/redis/redis-backplane.ts';
import { type Running, redisOptions } from '../support/backplanes.ts';
import { type PublishSettings, publishTiny } from '../support/frames.ts';
import { useBackplanes } from '../support/use-backplanes.ts';
import { waitFor } from '../support/wait.ts';

const used = useBackplanes({ cluster: 'long' });
const KIB = 1024;

/** One after the other, so that each is an envelope of its own. */
async function publishOneByOne(
  { backplane }: Running,
  room: string,
  texts: readonly string[],
  settings: PublishSettings,
): Promise<void> {
  for (const text of texts) {
    const { error } = await publishTiny(backplane, room, text, settings);
    expect(error).toBeNull();
  }
}

function texts(count: number, bytes: number): string[] {
  return Array.from({ length: count }, (_, n) => String(n).padEnd(bytes, '.'));
}

describe.each(used.factories)('history of the %s backplane', (_kind, startOne) => {
  async function start(): Promise<Running> {
    const running = await startOne();
    used.open.push(running.backplane);
    return running;
  }

  /** What a room keeps: offsets, and the bytes of the envelopes. */
  async function kept({ backplane }: Running, room: string, history: PublishSettings['history']) {
    const { envelopes, offset } = await backplane.read(room, history!, { limit: 100_000 });
    const bytes = envelopes.reduce((sum, envelope) => sum + envelope.bytes.length, 0);
    return { first: envelopes[0]?.first ?? offset + 1, last: envelopes.at(-1)?.last, offset, bytes };
  }

  it('is bounded by bytes: the oldest go, the newest stay', async () => {
    const running = await start();
    const history = { messages: 10_000, ageMs: 60_000, bytes: 256 * KIB };
    await publishOneByOne(running, 'room', texts(200, 8 * KIB), { history });
    const { first, last, offset, bytes } = await kept(running, 'room', history);
    expect({ last, offset }).toEqual({ last: 200, offset: 200 });
    expect(bytes).toBeLessThanOrEqual(256 * KIB * 1.25);
    expect(200 - first + 1).toBeGreaterThanOrEqual(20);
  });

  it('is bounded where messages were small and grow large', async () => {
    const running = await start();
    const history = { messages: 10_000, ageMs: 60_000, bytes: 256 * KIB };
    await publishOneByOne(running, 'room', texts(500, 100), { history });
    expect((await kept(running, 'room', history)).first).toBe(1);
    await publishOneByOne(running, 'room', texts(60, 40 * KIB), { history });
    const { last, bytes } = await kept(running, 'room', history);
    expect(last).toBe(560);
    expect(bytes).toBeLessThanOrEqual(256 * KIB * 1.5);
  });

  it('keeps the newest message, however large it is', async () => {
    const running = await start();
    const history = { messages: 10_000, ageMs: 60_000, bytes: 64 * KIB };
    await publishOneByOne(running, 'room', texts(3, 200 * KIB), { history });
    expect(await kept(running, 'room', history)).toMatchObject({ first: 3, last: 3 });
  });

  it('has no limit in bytes where none is set', async () => {
    const running = await start();
    const history = { messages: 10_000, ageMs: 60_000, bytes: 0 };
    await publishOneByOne(running, 'room', texts(60, 40 * KIB), { history });
    expect(await kept(running, 'room', history)).toMatchObject({ first: 1, last: 60 });
  });
});

describe('the log of a room in Redis', () => {
  async function start(keyPrefix: string): Promise<Running> {
    const running = await used.factories[1]![1]({});
    await running.backplane.close();
    const heard = running.heard;
    const backplane = new RedisBackplane(redisOptions(used.server.url, { keyPrefix, partitions: 1 }));
    await backplane.start(heard);
    used.open.push(backplane);
    return { ...running, backplane };
  }

  const logOf = async (keyPrefix: string) => (await used.server.client.keys(`${keyPrefix}:*log3:room`))[0]!;

  it('takes about as much memory as it may, of small messages too', async () => {
    const running = await start('small');
    const history = { messages: 100_000, ageMs: 60_000, bytes: 128 * KIB };
    for (let i = 0; i < 40; i++) {
      await Promise.all(
        texts(100, 100).map((text) => publishTiny(running.backplane, 'room', text, { history })),
      );
    }
    const bytes = await used.server.client.memory('USAGE', await logOf('small'));
    expect(bytes).toBeGreaterThan(96 * KIB);
    expect(bytes).toBeLessThan(176 * KIB);
  });

  it('is looked at rarely: not for each message', async () => {
    const running = await start('rare');
    const history = { messages: 100_000, ageMs: 60_000, bytes: 1024 * KIB };
    await used.server.client.config('RESETSTAT');
    await publishOneByOne(running, 'room', texts(2_000, 100), { history });
    const weighed = await used.server.calls('memory\\|usage');
    expect(weighed).toBeGreaterThan(0);
    // An eighth of the limit is about 800 such messages.
    expect(weighed).toBeLessThan(40);
  });

  it('loses what is too old, although few messages come', async () => {
    const running = await start('old');
    const history = { messages: 10_000, ageMs: 1_000 };
    await publishOneByOne(running, 'room', texts(200, 100), { history });
    const key = await logOf('old');
    const client = used.server.client;
    expect(await client.xlen(key)).toBe(200);
    await waitFor(
      async () => {
        await publishOneByOne(running, 'room', ['x'], { history });
        return (await client.xlen(key)) < 100;
      },
      { for: 'the old messages to go', intervalMs: 50 },
    );
    const { envelopes, offset } = await running.backplane.read('room', history, { limit: 1_000 });
    expect(envelopes.at(-1)?.last).toBe(offset);
  });
});
