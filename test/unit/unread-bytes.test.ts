import { expect, it } from 'vitest';
import { type Reader, UnreadBytes } from '../../src/connection/unread-bytes.ts';

const KIB = 1024;

class FakeReader implements Reader {
  isOpen = true;
  isDropped = false;
  readonly socket: Reader['socket'];

  constructor(bytes: number) {
    this.socket = {
      bufferedBytes: () => (this.isDropped ? 0 : bytes),
      destroy: () => {
        this.isDropped = true;
      },
    };
  }

  close(): void {
    this.isOpen = false;
  }
}

/** Has looked at all of them once. */
function looked(readers: readonly FakeReader[], limit: number) {
  const closed: number[][] = [];
  const unread = new UnreadBytes({
    limit,
    connections: () => readers.values(),
    closed: (...what) => closed.push(what),
  });
  for (let n = 0; n <= readers.length / 16_384; n++) unread.look();
  return { unread, closed, left: readers.filter(({ isDropped }) => !isDropped).length };
}

it('closes the connections with the most unread bytes, and no more than it must', () => {
  const readers = [100, 400, 200, 300].map((kib) => new FakeReader(kib * KIB));
  const { unread, closed } = looked(readers, 500 * KIB);
  expect(readers.map(({ isDropped }) => isDropped)).toEqual([false, true, false, true]);
  expect(readers.map(({ isOpen }) => isOpen)).toEqual([true, false, true, false]);
  expect(closed).toEqual([[2, 700 * KIB]]);
  expect(unread.total).toBe(1_000 * KIB);
});

it('closes none within the limit, none of those with little, and none where there is no limit', () => {
  expect(looked([new FakeReader(500 * KIB)], 500 * KIB)).toMatchObject({ left: 1, closed: [] });
  expect(looked([new FakeReader(64 * KIB), new FakeReader(10)], 1)).toMatchObject({ left: 2, closed: [] });
  expect(looked([new FakeReader(5_000 * KIB)], 0)).toMatchObject({ left: 1, closed: [] });
});

it('looks at some of many at a time, at all of them in the end, and begins anew', () => {
  const readers = Array.from({ length: 40_000 }, () => new FakeReader(100 * KIB));
  const unread = new UnreadBytes({ limit: 0, connections: () => readers.values(), closed: () => undefined });
  unread.look();
  unread.look();
  expect(unread.total).toBe(0);
  unread.look();
  expect(unread.total).toBe(40_000 * 100 * KIB);
  readers.length = 1;
  unread.look();
  expect(unread.total).toBe(100 * KIB);
});
