import { beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connection/connection.ts';
import { Portions } from '../../src/node/catch-up/portions.ts';

const MIB = 1024 * 1024;
const PORTION = 256 * 1024;
const PER_SECOND = 16 * MIB;

let nowMs: number;
let turn: { number: number };
let portions: Portions;

beforeEach(() => {
  nowMs = 1_000_000;
  turn = { number: 1 };
  const clock = { nowMs: () => nowMs, wallMs: () => nowMs };
  portions = new Portions({ endOfTurn: turn, clock, bytesPerSecond: PER_SECOND });
});

/** As much of one as matters here. */
function connection(readsText = false): Connection {
  return { fillBytes: PORTION, readsText } as unknown as Connection;
}

describe('portions', () => {
  it('are so many bytes for each connection and turn', () => {
    const [one, other] = [connection(), connection()];
    expect(portions.left(one)).toBe(PORTION);
    portions.fed(one, PORTION - 1, false);
    expect([portions.left(one), portions.left(other)]).toEqual([1, PORTION]);
    portions.fed(one, 1000, true);
    expect(portions.left(one)).toBe(0);
    turn.number++;
    expect(portions.left(one)).toBe(PORTION);
  });

  it.each([
    ['bytes', false, 16],
    ['text, which takes more to make', true, 2],
  ])('of all connections end with the turn (%s)', (_, readsText, most) => {
    const served = () => {
      let count = 0;
      for (let next = connection(readsText); portions.left(next) > 0; next = connection(readsText)) {
        portions.fed(next, PORTION, false);
        count++;
      }
      return count;
    };
    expect(served()).toBe(most);
    expect(served()).toBe(0);
    portions.nextTurn();
    expect(served()).toBe(most);
  });

  it('are paid for over time, text twice, by the connection alone', () => {
    for (const readsText of [false, true]) {
      const one = connection(readsText);
      let bytes = 0;
      for (; portions.waitMs(one) === 0; bytes += PORTION) portions.fed(one, PORTION, false);
      expect(bytes / MIB).toBeCloseTo(readsText ? 16.25 : 32.25, 5);
      expect(portions.waitMs(connection(readsText))).toBe(0);
      nowMs += portions.waitMs(one);
      expect(portions.waitMs(one)).toBe(0);
    }
  });

  it('that were read are paid for when they are read, wanted or not, and the smallest read costs something', () => {
    const one = connection();
    portions.readBegan(one);
    portions.readEnded(one, 33 * MIB);
    expect(portions.waitMs(one)).toBe(63);
    portions.fed(one, MIB, true);
    expect(portions.waitMs(one)).toBe(63);
    const other = connection();
    for (let n = 0; n <= 4096; n++) {
      portions.readBegan(other);
      portions.readEnded(other, 0);
    }
    expect(portions.waitMs(other)).toBe(1);
  });

  it('are read four at a time for one connection', () => {
    const one = connection();
    for (let n = 0; n < 4; n++) {
      expect(portions.mayRead(one)).toBe(true);
      portions.readBegan(one);
    }
    expect([portions.mayRead(one), portions.mayRead(connection())]).toEqual([false, true]);
    portions.readEnded(one, 100);
    expect(portions.mayRead(one)).toBe(true);
  });
});
