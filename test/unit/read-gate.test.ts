/** Who may read when: one read for each reader, turns, bounds, and bytes that are paid for. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ReadStats } from '../../src/metrics/reads.ts';
import { type Reader, ReadGate, ReadRefused } from '../../src/node/reads/read-gate.ts';
import { ByteBudget } from '../../src/util/byte-budget.ts';
import { systemScheduler } from '../../src/util/scheduler.ts';
import { holdingsOf } from '../simulation/world/holdings.ts';

const MIB = 1024 * 1024;
/** Of the process, whose timers and clock the tests hold. */
const scheduler = { ...systemScheduler, nowMs: () => Date.now(), wallMs: () => Date.now() };

interface Open {
  readonly name: string;
  end(bytes?: number): void;
  fail(error: Error): void;
}

let stats: ReadStats;
let open: Open[];
let begun: string[];

beforeEach(() => {
  vi.useFakeTimers();
  stats = new ReadStats();
  open = [];
  begun = [];
});

afterEach(() => vi.useRealTimers());

function gateOf(atOnce: number, bytesPerSecond = 0): ReadGate {
  return new ReadGate({ atOnce, bytesPerSecond, mostWaiting: 128, scheduler, stats });
}

function reader(): { isOpen: boolean; isBehind: boolean } {
  return { isOpen: true, isBehind: false };
}

/** A read that ends when the test says so. */
function ask(gate: ReadGate, of: Reader, name: string): Promise<string> {
  return gate.run(of, () => {
    begun.push(name);
    return new Promise((resolve, reject) => {
      open.push({
        name,
        end: (bytes = 0) => resolve({ value: name, bytes }),
        fail: reject,
      });
    });
  });
}

/** Lets the oldest open read end, and what follows from that happen. */
async function endOne(bytes = 0): Promise<void> {
  open.shift()!.end(bytes);
  await vi.advanceTimersByTimeAsync(0);
}

describe('the read gate', () => {
  it('lets each reader have one read under way, and all together so many', () => {
    const gate = gateOf(4);
    const readers = Array.from({ length: 6 }, reader);
    readers.forEach((of, r) => {
      for (let n = 0; n < 3; n++) void ask(gate, of, `${r}.${n}`);
    });
    expect(begun).toEqual(['0.0', '1.0', '2.0', '3.0']);
    expect([gate.reading, gate.waiting]).toEqual([4, 14]);
  });

  it('gives the readers turns, however much one of them asks for', async () => {
    const gate = gateOf(1);
    const [flood, other, third] = [reader(), reader(), reader()];
    for (let n = 0; n < 100; n++) void ask(gate, flood, `flood.${n}`);
    void ask(gate, other, 'other.0');
    void ask(gate, other, 'other.1');
    void ask(gate, third, 'third.0');
    for (let i = 0; i < 5; i++) await endOne();
    expect(begun).toEqual(['flood.0', 'other.0', 'third.0', 'flood.1', 'other.1', 'flood.2']);
  });

  it('begins nothing in the turn in which a read has ended, whoever asks', async () => {
    vi.useRealTimers();
    const gate = gateOf(1);
    const atOnce = (name: string) =>
      gate.run(reader(), async () => {
        begun.push(name);
        return { value: name, bytes: 0 };
      });
    await atOnce('a');
    // The gate hears of the end after who asked; the turn goes on.
    for (let n = 0; n < 5; n++) await Promise.resolve();
    expect(gate.reading).toBe(0);
    const later = [atOnce('b'), atOnce('c')];
    expect(begun).toEqual(['a']);
    expect(await Promise.all(later)).toEqual(['b', 'c']);
  });

  it('answers in order, and passes errors on', async () => {
    const gate = gateOf(2);
    const one = reader();
    const answers = [ask(gate, one, 'a'), ask(gate, one, 'b'), ask(gate, one, 'c')];
    answers[1]!.catch(() => undefined);
    await endOne();
    open.shift()!.fail(new Error('no such thing'));
    await vi.advanceTimersByTimeAsync(0);
    await endOne();
    expect(await answers[0]).toBe('a');
    await expect(answers[1]).rejects.toThrow('no such thing');
    expect(await answers[2]).toBe('c');
    expect(stats).toMatchObject({ answered: 3, refused: 0 });
  });

  it('refuses what is beyond 128 waiting reads of one reader, says when to come again, and serves others', async () => {
    const gate = gateOf(1, MIB);
    const [flood, other] = [reader(), reader()];
    const asked = Array.from({ length: 5_000 }, (_, n) => ask(gate, flood, `${n}`));
    const refusals = await Promise.all(asked.slice(129).map((read) => read.catch((error: unknown) => error)));
    expect(refusals).toHaveLength(4_871);
    for (const refusal of refusals.slice(0, 3)) {
      expect(refusal).toBeInstanceOf(ReadRefused);
      expect(refusal).toMatchObject({ code: 'rate_limited', retryAfterMs: 100 });
    }
    expect(stats.refused).toBe(4_871);
    void ask(gate, other, 'other');
    await endOne();
    expect(begun.at(-1)).toBe('other');
  });

  it('has a reader pay for what it read by waiting, and nobody else', async () => {
    const gate = gateOf(1, MIB);
    const [greedy, modest] = [reader(), reader()];
    for (let n = 0; n < 10; n++) void ask(gate, greedy, 'greedy');
    // Two seconds' worth at once, the last of it on credit.
    for (let n = 0; n < 3; n++) await endOne(MIB);
    expect(begun).toHaveLength(3);
    void ask(gate, modest, 'modest');
    expect(begun.at(-1)).toBe('modest');
    await endOne();
    await vi.advanceTimersByTimeAsync(900);
    expect(begun).toHaveLength(4);
    await vi.advanceTimersByTimeAsync(200);
    expect(begun.slice(4)).toEqual(['greedy']);
  });

  it('bounds the bytes of all readers together', async () => {
    const gate = gateOf(4, MIB);
    for (let n = 0; n < 100; n++) void ask(gate, reader(), `${n}`);
    while (open.length > 0) await endOne(MIB);
    const atOnce = begun.length;
    // Eight at once, and those under way when they were spent.
    expect(atOnce).toBeGreaterThanOrEqual(8);
    expect(atOnce).toBeLessThanOrEqual(13);
    for (let i = 0; i < 100; i++) {
      await vi.advanceTimersByTimeAsync(20);
      while (open.length > 0) await endOne(MIB);
    }
    expect(begun.length - atOnce).toBeGreaterThanOrEqual(8);
    expect(begun.length - atOnce).toBeLessThanOrEqual(20);
  });

  it('counts the smallest answer as 8 KiB', async () => {
    const gate = gateOf(1, MIB);
    const one = reader();
    for (let n = 0; n < 400; n++) {
      ask(gate, one, `${n}`).catch(() => undefined);
      if (open.length > 0) await endOne(1);
    }
    expect(begun).toHaveLength((2 * MIB) / 8192 + 1);
  });

  it('lets the routes of the server API be bounded by the node alone', async () => {
    const gate = gateOf(1, MIB);
    const route: Reader = { isOpen: true, isBehind: false, isServer: true };
    for (let n = 0; n < 500; n++) void ask(gate, route, 'route');
    for (let n = 0; n < 8; n++) await endOne(MIB);
    expect(begun).toHaveLength(9);
    expect(stats.refused).toBe(0);
  });

  it('does not read for who does not read, until its socket drains', async () => {
    const gate = gateOf(1);
    const [slow, other] = [reader(), reader()];
    slow.isBehind = true;
    void ask(gate, slow, 'slow');
    void ask(gate, other, 'other');
    await endOne();
    expect(begun).toEqual(['other']);
    slow.isBehind = false;
    gate.drained(slow);
    expect(begun).toEqual(['other', 'slow']);
  });

  it('forgets what waits for a reader that left', async () => {
    const gate = gateOf(1);
    const [gone, other] = [reader(), reader()];
    for (let n = 0; n < 5; n++) void ask(gate, gone, 'gone');
    void ask(gate, other, 'other');
    gate.left(gone);
    expect(gate.waiting).toBe(1);
    await endOne();
    await endOne();
    expect(begun).toEqual(['gone', 'other']);
    expect([gate.reading, gate.waiting]).toEqual([0, 0]);
  });

  it('keeps nothing of a reader that asks after it left', () => {
    const gate = gateOf(1);
    const gone = reader();
    gone.isOpen = false;
    gate.left(gone);
    void ask(gate, gone, 'gone');
    expect(begun).toEqual([]);
    expect(gate.waiting).toBe(0);
    expect(holdingsOf(gate, () => false).get('ReadGate.#lanes')).toBe(0);
  });

  it('begins one read a turn where reads end at once', async () => {
    vi.useRealTimers();
    const gate = gateOf(1);
    const turns: number[] = [];
    let turn = 0;
    const count = setInterval(() => undefined, 1_000);
    const next = () => setImmediate(() => ++turn < 50 && next());
    next();
    await Promise.all(
      Array.from({ length: 20 }, () =>
        gate.run(reader(), async () => {
          turns.push(turn);
          return { value: null, bytes: MIB };
        }),
      ),
    );
    clearInterval(count);
    expect(new Set(turns).size).toBeGreaterThanOrEqual(19);
  });
});

describe('a byte budget', () => {
  it('lets a burst through, then the rate', () => {
    const budget = new ByteBudget(1_000, 2_000);
    expect(budget.waitMs(0)).toBe(0);
    budget.spend(2_500, 0);
    expect(budget.waitMs(0)).toBe(500);
    expect(budget.waitMs(500)).toBe(0);
    budget.spend(1_000, 500);
    expect(budget.waitMs(500)).toBe(1_000);
    expect([budget.isWhole(3_499), budget.isWhole(3_500)]).toEqual([false, true]);
  });

  it('has no limit with a rate of 0', () => {
    const budget = new ByteBudget(0, 0);
    budget.spend(1e12, 0);
    expect(budget.waitMs(0)).toBe(0);
  });
});
