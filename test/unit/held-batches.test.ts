import { expect, test } from 'vitest';
import type { BackplaneError, PublishRequest } from '../../src/backplane/backplane.ts';
import { HeldBatches } from '../../src/backplane/redis/cluster/held-batches.ts';
import { RoomBatch } from '../../src/backplane/room-batch.ts';
import { FakeClock } from '../support/fake-clock.ts';

const HISTORY = { messages: 10, ageMs: 1000 };

function setUp() {
  const clock = new FakeClock();
  const held = new HeldBatches({ clock, maxWaitMs: 1_000 });
  const failed: string[] = [];
  const request = (name: string): PublishRequest => ({
    room: 'r',
    history: HISTORY,
    frame: Buffer.from(name),
    offsetAt: 1,
    key: null,
    exclude: 0,
    settled: (error: BackplaneError | null) => failed.push(`${name} ${error?.code} ${error?.message}`),
  });
  const batch = (name: string) => {
    const made = new RoomBatch('r', HISTORY, clock.nowMs());
    made.add(request(name));
    return made;
  };
  const names = (batches: readonly RoomBatch[]) =>
    batches.flatMap(({ requests }) => requests.map(({ frame }) => Buffer.from(frame).toString()));
  return { clock, held, failed, request, batch, names };
}

test('what was not run comes before what came later, in order', () => {
  const { held, request, batch, names } = setUp();
  held.append(1, [batch('c')]);
  held.prepend(1, [batch('a'), batch('b')]);
  held.push(1, request('d'));
  expect(names(held.release(1))).toEqual(['a', 'b', 'c', 'd']);
  expect(held.isHeld(1)).toBe(false);
});

test('partitions wait for themselves', () => {
  const { held, batch, names } = setUp();
  held.append(1, [batch('a')]);
  held.append(2, [batch('b')]);
  expect(held.partitions).toEqual([1, 2]);
  expect(names(held.release(2))).toEqual(['b']);
  expect(held.isEmpty).toBe(false);
});

test('what waited too long fails with the reason, and what is younger waits on', () => {
  const { clock, held, failed, request, batch, names } = setUp();
  held.append(1, [batch('old')]);
  clock.advance(600);
  held.push(1, request('young'));
  clock.advance(500);
  held.expire((partition) => `no master for ${partition}`);
  expect(failed).toEqual(['old unavailable no master for 1']);
  expect(held.isHeld(1)).toBe(true);
  expect(names(held.release(1))).toEqual(['young']);
});

test('closing fails everything', () => {
  const { held, failed, batch } = setUp();
  held.append(1, [batch('a')]);
  held.append(2, [batch('b')]);
  held.close('the node is shutting down');
  expect(failed).toHaveLength(2);
  expect(held.isEmpty).toBe(true);
});
