import { describe, expect, it } from 'vitest';
import { Scrapes } from '../../src/transport/http/scrapes.ts';

/** Renders how often it has rendered. `release` lets those under way end. Each read has a turn of its own, unless it `sharesTurn`. */
function counted({ perSecond = 10, sharesTurn = false } = {}) {
  const state = { nowMs: 0, renders: 0, release: (): void => undefined, endTurn: (): void => undefined };
  let held: Promise<void> | null = null;
  const scheduler = {
    nowMs: () => state.nowMs,
    atEndOfTurn: (work: () => void) => {
      state.endTurn = work;
      if (!sharesTurn) work();
    },
  };
  const scrapes = new Scrapes({
    perSecond,
    scheduler,
    render: async () => {
      const text = String(++state.renders);
      await held;
      return { contentType: 'text/plain', text };
    },
  });
  const read = async () => Buffer.from((await scrapes.read()).body).toString();
  const hold = () => {
    held = new Promise((resolve) => {
      state.release = resolve;
    });
  };
  return { state, read, hold };
}

describe('scrapes', () => {
  it('at an ordinary pace always get new figures', async () => {
    const { state, read } = counted();
    const got: string[] = [];
    for (let i = 0; i < 20; i++, state.nowMs += 100) got.push(await read());
    expect(got).toEqual(Array.from({ length: 20 }, (_, i) => String(i + 1)));
  });

  it('beyond the rate get the last figures, which are soon replaced', async () => {
    const { state, read } = counted();
    const got: string[] = [];
    for (let i = 0; i < 300; i++, state.nowMs += 1000 / 300) got.push(await read());
    // A burst of a second's worth, then the rate.
    expect(state.renders).toBe(19);
    expect(got.map(Number)).toEqual([...got.map(Number)].sort((a, b) => a - b));
    state.nowMs += 100;
    expect(await read()).toBe('20');
  });

  it('that come together share one rendering', async () => {
    const { state, read, hold } = counted();
    hold();
    const reads = Array.from({ length: 100 }, read);
    state.release();
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['1']));
    expect(state.renders).toBe(1);
  });

  it('of one turn share one rendering, although it ended in that turn', async () => {
    const { state, read } = counted({ sharesTurn: true });
    for (let i = 0; i < 50; i++) expect(await read()).toBe('1');
    state.endTurn();
    expect(await read()).toBe('2');
    expect(state.renders).toBe(2);
  });

  it('have no limit where it is 0', async () => {
    const { state, read } = counted({ perSecond: 0 });
    for (let i = 0; i < 50; i++) await read();
    expect(state.renders).toBe(50);
  });

  it('that fail are tried anew by the next', async () => {
    let renders = 0;
    const scrapes = new Scrapes({
      perSecond: 1,
      scheduler: { nowMs: () => 0, atEndOfTurn: (work) => work() },
      render: async () => {
        if (++renders === 1) throw new Error('no figures');
        return { contentType: 'text/plain', text: 'figures' };
      },
    });
    await expect(scrapes.read()).rejects.toThrow('no figures');
    expect(Buffer.from((await scrapes.read()).body).toString()).toBe('figures');
  });
});
