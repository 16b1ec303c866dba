/** What a server of a cluster refuses to send is asked for again. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { silentMetrics } from '../../src/backplane/metrics.ts';
import type { Link } from '../../src/backplane/redis/link/link.ts';
import { errorFromReply } from '../../src/backplane/redis/link/redis-errors.ts';
import { Arrivals } from '../../src/backplane/redis/subscribe/arrivals.ts';
import { type Channels, chunks } from '../../src/backplane/redis/subscribe/channels.ts';
import { Requests } from '../../src/backplane/redis/subscribe/requests.ts';
import { Wanted } from '../../src/backplane/redis/subscribe/wanted.ts';

const SIGNALS = 'rc:{nodes}:signals';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] }));
afterEach(() => vi.useRealTimers());

it('where a server is down for long, the node hears itself and all nodes when it is back', async () => {
  const nothing = () => undefined;
  const arrivals = new Arrivals({
    metrics: silentMetrics,
    signalChannel: SIGNALS,
    envelope: nothing,
    presence: nothing,
    probe: nothing,
    signal: nothing,
  });
  const wanted = new Wanted(arrivals, { isSharded: true, signalChannel: SIGNALS });
  const signals = wanted.create(null, SIGNALS);
  signals.isConfirmed = true;
  wanted.add(signals);
  wanted.setProbe('rc:{a}:probe:n');
  let isDown = true;
  const channels: Channels = {
    groups: chunks,
    subscribe: async () => {
      if (isDown) throw errorFromReply('CLUSTERDOWN The cluster is down', 'subscribe');
    },
    unsubscribe: async () => undefined,
    heard: async () => undefined,
    linkDown: nothing,
  };
  const link = { isUp: true, reconnect: nothing } as unknown as Link;
  const requests = new Requests(link, wanted, channels, { commandTimeoutMs: 2_000 });
  requests.changeAll([wanted.probe!, signals]);
  await vi.advanceTimersByTimeAsync(10_000);
  isDown = false;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(wanted.of(null)).toBe(signals);
  expect([signals, wanted.probe!].map(({ isSent, isConfirmed }) => isSent && isConfirmed)).toEqual([
    true,
    true,
  ]);
  requests.close();
});
