import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BackplaneError } from '../../src/backplane/backplane.ts';
import { ClusterPublishing } from '../../src/backplane/redis/cluster/cluster-publishing.ts';
import { Lanes } from '../../src/backplane/redis/cluster/lanes.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
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
