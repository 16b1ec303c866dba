/** Publishing by requests, where the node or a proxy takes a request and says nothing. */
import { afterEach, expect, it, vi } from 'vitest';
import { errorFrame, HttpPublisher } from '../../src/client/http-publisher.ts';
import { jsonCodec } from '../../src/client/json-codec.ts';
import { World } from './world.ts';

afterEach(() => vi.unstubAllGlobals());

it('gives up a request without an answer, so that the next connection repeats it', async () => {
  const world = new World();
  const signals: AbortSignal[] = [];
  const fetched = vi.fn((_url: string, { signal }: { signal: AbortSignal }) => {
    signals.push(signal);
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  vi.stubGlobal('fetch', fetched);
  const lost: string[] = [];
  const publisher: HttpPublisher = new HttpPublisher({
    base: 'https://node.test',
    token: null,
    environment: world.environment,
    codec: jsonCodec,
    answer: () => undefined,
    lost(reason) {
      lost.push(reason);
      publisher.stop();
    },
  });
  for (const id of [1, 2]) publisher.publish(id, 'r', '1', {});
  await world.settle();
  await world.pass(14_000);
  expect(lost).toEqual([]);
  await world.pass(2_000);
  expect(lost).toEqual(['the node did not answer a publish']);
  // The second one was not begun: the next connection sends both, in order.
  expect(fetched).toHaveBeenCalledTimes(1);
  expect(signals[0]?.aborted).toBe(true);
  expect(world.scheduler.timers).toBe(0);
});

it.each([
  [
    { limit: 'limits.publishBytes' },
    { 'retry-after': '2' },
    { retryAfterMs: 2000, limit: 'limits.publishBytes' },
  ],
  [{ limit: 'limits.publishBytes' }, undefined, { limit: 'limits.publishBytes' }],
  [{}, { 'retry-after': '0' }, {}],
])('passes on the limit and the wait of a refusal: %j with the headers %j', (more, headers, details) => {
  const error = { code: 'rate_limited', message: 'too fast', ...more } as const;
  const response = new Response(null, headers && { headers });
  expect(errorFrame(7, error, response)).toEqual(['error', 7, 'rate_limited', 'too fast', details]);
});
