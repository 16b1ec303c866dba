/** What the conformance suite cannot see of the memory backplane: that it forgets. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryBackplane } from '../../src/backplane/memory/memory-backplane.ts';
import { Heard } from '../support/backplanes.ts';
import { KEPT, publishTiny, textsOf, UNKEPT } from '../support/frames.ts';

const SWEEP_MS = 1_000;
let nowMs = 0;
let backplane: MemoryBackplane;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  nowMs = 0;
  const clock = { nowMs: () => nowMs, wallMs: () => 1e12 + nowMs };
  const life = { dedupWindowMs: 10_000, metaTtlMs: 60_000, acksTtlMs: 60_000, sweepMs: SWEEP_MS };
  backplane = new MemoryBackplane({ nodeId: 'aaaaaaaa', clock, ...life });
  await backplane.start(new Heard());
});

afterEach(async () => {
  await backplane.close();
  vi.useRealTimers();
});

function pass(ms: number): void {
  nowMs += ms;
  vi.advanceTimersByTime(SWEEP_MS);
}

async function keptTexts(): Promise<string[]> {
  // The widest policy hides nothing that is still there.
  const page = await backplane.read('room', { messages: 1e6, ageMs: 1e9 }, { limit: 1e6 });
  return textsOf(page.envelopes);
}

describe('the memory backplane', () => {
  it('drops what lies outside the count when something is stored', async () => {
    const history = { messages: 2, ageMs: 60_000 };
    for (const text of ['1', '2', '3', '4']) await publishTiny(backplane, 'room', text, { history });
    expect(await keptTexts()).toEqual(['3', '4']);
  });

  it('drops what is too old although nobody asks', async () => {
    await publishTiny(backplane, 'room', '1', { history: { messages: 9, ageMs: 5_000 } });
    pass(5_001);
    expect(await keptTexts()).toEqual([]);
  });

  it('keeps the numbering of a room that is used and forgets it after its life', async () => {
    const { epoch } = await publishTiny(backplane, 'room', '1');
    pass(59_000);
    expect((await backplane.read('room', KEPT, { limit: 0 })).epoch).toBe(epoch);
    pass(59_000);
    expect((await backplane.read('room', KEPT, { limit: 0 })).offset).toBe(1);
    pass(60_000);
    const anew = await backplane.read('room', KEPT, { limit: 0 });
    expect(anew.offset).toBe(0);
    expect(anew.epoch).not.toBe(epoch);
  });

  it('remembers an idempotency key for exactly the window, in rooms without history too', async () => {
    const publish = () => publishTiny(backplane, 'room', 'x', { key: 'k', history: UNKEPT });
    await publish();
    pass(9_999);
    expect((await publish()).duplicate).toBe(true);
    pass(1);
    expect((await publish()).duplicate).toBe(false);
  });

  it('is not ready before it is started', () => {
    const clock = { nowMs: () => 0, wallMs: () => 0 };
    const fresh = new MemoryBackplane({
      nodeId: 'aaaaaaaa',
      clock,
      dedupWindowMs: 1,
      metaTtlMs: 1,
      acksTtlMs: 1,
    });
    expect(fresh.status()).toEqual({ ready: false, reason: 'the memory backplane is not started' });
  });
});
