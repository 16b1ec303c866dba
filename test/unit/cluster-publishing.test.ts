import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type BackplaneError, type PublishRequest, unavailable } from '../../src/backplane/backplane.ts';
import { ClusterPublishing } from '../../src/backplane/redis/cluster/cluster-publishing.ts';
import { type Lane, Lanes } from '../../src/backplane/redis/cluster/lanes.ts';
import { Member } from '../../src/backplane/redis/cluster/member.ts';
import type { Master } from '../../src/backplane/redis/cluster/slot-map.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { GroupCommit } from '../../src/backplane/redis/publish/group-commit.ts';
import type { Outcome } from '../../src/backplane/redis/publish/publisher.ts';
import type { Shard } from '../../src/backplane/redis/shard/shard.ts';
import { RoomBatch } from '../../src/backplane/room-batch.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { FakeClock } from '../support/fake-clock.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test('what is held asks for the slot map every 20 ms, and not each time that a map was read', async () => {
  const keys = new Keys('rc', 4);
  const clock = new FakeClock();
  let hints = 0;
  const errors: (string | undefined)[] = [];
  const publishing = new ClusterPublishing({
    ...{ keys, clock, lanes: new Lanes(keys), commandTimeoutMs: 1_000, metrics: new NodeMetrics().backplane },
    hint: () => hints++,
  });
  publishing.publish({
    ...{ room: 'r', history: { messages: 10, ageMs: 1_000 }, frame: Buffer.from('m'), offsetAt: 1 },
    ...{ key: null, exclude: 0 },
    settled: (error: BackplaneError | null) => errors.push(error?.code),
  });
  // No master has the slot. With a hint for each map, one that fails at once would bring the next map in the same turn, for ever.
  for (let i = 0; i < 10; i++) publishing.retryNow();
  expect(hints).toBe(0);
  await vi.advanceTimersByTimeAsync(60);
  expect(hints).toBe(3);
  expect(errors).toEqual([]);
  publishing.stop();
  publishing.close();
  expect(errors).toEqual(['unavailable']);
});

/** Two retries, and what they send. */
const STEP_MS = 50;
const ROOM = 'r';
const HISTORY = { messages: 10, ageMs: 1_000 };
const MOVED = unavailable('publish', 'redis: MOVED 1 10.0.0.1:7001');
const STORED: Outcome = { epoch: 'epoch', first: 1, duplicates: null };
const names = (batches: readonly RoomBatch[]) =>
  batches.flatMap(({ requests }) => requests.map(({ frame }) => Buffer.from(frame).toString()));

/** A master whose calls are answered by the test. */
class FakeMaster {
  /** What was sent to it, by call. */
  readonly calls: string[][] = [];
  readonly member: Member;
  /** Why it cannot be called. */
  trouble: string | null = null;
  readonly #commits: GroupCommit;
  #answer: (outcome: Outcome) => void = () => undefined;

  constructor(name: string, clock: FakeClock, notRun: (shard: Shard, batches: readonly RoomBatch[]) => void) {
    this.#commits = new GroupCommit({
      ...{ clock, name, maxWaitMs: 1_000 },
      send: (batches) => {
        this.calls.push(names(batches));
        return new Promise((resolve) => {
          this.#answer = (outcome) => resolve(batches.map(() => outcome));
        });
      },
      problem: () => this.trouble,
      ping: () => new Promise(() => undefined),
      reconnect: () => undefined,
      suspectChanged: () => undefined,
      notRun: (batches) => notRun(this.shard, batches),
    });
    const shard: Partial<Shard> = {
      isUp: true,
      hasSettled: () => true,
      problem: () => this.trouble,
      publish: (request) => this.#commits.publish(request),
      append: (batches) => this.#commits.append(batches),
      withdraw: (has) => this.#commits.withdraw(has),
      isSending: (has) => this.#commits.isSending(has),
    };
    this.member = new Member({ id: name } as Master, shard as Shard, clock.nowMs());
  }

  get shard(): Shard {
    return this.member.shard;
  }

  close(): void {
    this.#commits.close();
  }

  async answer(outcome: Outcome): Promise<void> {
    this.#answer(outcome);
    await vi.advanceTimersByTimeAsync(STEP_MS);
  }
}

/** Three masters, of which A has the partition of the room. */
class ThreeMasters {
  readonly settled: string[] = [];
  readonly #keys = new Keys('rc', 4);
  readonly #clock = new FakeClock();
  readonly #lanes = new Lanes(this.#keys);
  readonly publishing = new ClusterPublishing({
    ...{ keys: this.#keys, clock: this.#clock, lanes: this.#lanes, commandTimeoutMs: 1_000 },
    metrics: new NodeMetrics().backplane,
    hint: () => undefined,
  });
  readonly a = this.#master('a');
  readonly b = this.#master('b');
  readonly c = this.#master('c');

  constructor() {
    this.#lane.member = this.a.member;
  }

  async publish(name: string): Promise<void> {
    this.publishing.publish(this.#request(name));
    await vi.advanceTimersByTimeAsync(STEP_MS);
  }

  batch(name: string): RoomBatch {
    const batch = new RoomBatch(ROOM, HISTORY, this.#clock.nowMs());
    batch.add(this.#request(name));
    return batch;
  }

  async move(to: FakeMaster): Promise<void> {
    const from = this.#lane.member!.shard;
    this.#lane.member = to.member;
    this.publishing.moved(from, new Set([this.#keys.partitionOf(ROOM)]));
    await vi.advanceTimersByTimeAsync(STEP_MS);
  }

  async wait(milliseconds: number): Promise<void> {
    this.#clock.advance(milliseconds);
    await vi.advanceTimersByTimeAsync(STEP_MS);
  }

  get #lane(): Lane {
    return this.#lanes.of(ROOM);
  }

  #request(name: string): PublishRequest {
    return {
      ...{ room: ROOM, history: HISTORY, frame: Buffer.from(name), offsetAt: 1, key: null, exclude: 0 },
      settled: (error) => this.settled.push(`${name} ${error?.code ?? 'ok'}`),
    };
  }

  #master(name: string): FakeMaster {
    return new FakeMaster(name, this.#clock, (shard, batches) => this.publishing.notRun(shard, batches));
  }
}

test('a partition that moves twice waits for the first master too: what that did not run comes first', async () => {
  const world = new ThreeMasters();
  const { a, b, c } = world;
  await world.publish('m1');
  await world.move(b);
  await world.publish('m2');
  await world.move(c);
  await world.publish('m3');
  expect([a.calls, b.calls, c.calls]).toEqual([[['m1']], [], []]);
  await a.answer(MOVED);
  await c.answer(STORED);
  await c.answer(STORED);
  await c.answer(STORED);
  expect([a.calls, b.calls, c.calls]).toEqual([[['m1']], [], [['m1'], ['m2'], ['m3']]]);
  expect(world.settled).toEqual(['m1 ok', 'm2 ok', 'm3 ok']);
});

test('a partition that moves twice waits for calls on both masters that had it', async () => {
  const world = new ThreeMasters();
  const { a, b, c } = world;
  await world.publish('m1');
  await world.move(b);
  await world.publish('m2');
  await a.answer(STORED);
  await world.move(c);
  await world.publish('m3');
  expect([b.calls, c.calls]).toEqual([[['m2']], []]);
  await b.answer(MOVED);
  await c.answer(STORED);
  await c.answer(STORED);
  expect(c.calls).toEqual([['m2'], ['m3']]);
  expect(world.settled).toEqual(['m1 ok', 'm2 ok', 'm3 ok']);
});

test('a partition that comes back to a master queues behind what is in flight there', async () => {
  const world = new ThreeMasters();
  const { a, b } = world;
  await world.publish('m1');
  await world.move(b);
  await world.publish('m2');
  await world.move(a);
  await world.publish('m3');
  await a.answer(MOVED);
  await a.answer(STORED);
  await a.answer(STORED);
  await a.answer(STORED);
  expect([a.calls, b.calls]).toEqual([[['m1'], ['m1'], ['m2'], ['m3']], []]);
  expect(world.settled).toEqual(['m1 ok', 'm2 ok', 'm3 ok']);
});

test('a former master that was closed is waited for no more', async () => {
  const world = new ThreeMasters();
  const { a, b, c } = world;
  await world.publish('m1');
  await world.move(b);
  await world.publish('m2');
  await world.move(c);
  a.close();
  await world.wait(0);
  expect([b.calls, c.calls]).toEqual([[], [['m2']]]);
});

test('a new master that is away does not end the wait for the former one', async () => {
  const world = new ThreeMasters();
  const { a, b } = world;
  await world.publish('m1');
  b.trouble = 'away';
  // For longer than a message waits.
  b.member.troubledSinceMs = 0;
  await world.move(b);
  await world.publish('m2');
  b.trouble = null;
  await world.publish('m3');
  expect(b.calls).toEqual([]);
  await a.answer(MOVED);
  for (let i = 0; i < 3; i++) await b.answer(STORED);
  expect(b.calls).toEqual([['m1'], ['m2'], ['m3']]);
  expect(world.settled).toEqual(['m1 ok', 'm2 ok', 'm3 ok']);
});

test('what was not run comes before what waits on the present master', async () => {
  const world = new ThreeMasters();
  const { a } = world;
  await world.publish('m2');
  await world.publish('m3');
  world.publishing.notRun(world.b.shard, [world.batch('m1')]);
  await world.wait(0);
  await a.answer(STORED);
  await a.answer(STORED);
  expect(a.calls).toEqual([['m2'], ['m1'], ['m3']]);
});
