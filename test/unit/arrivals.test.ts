import { describe, expect, it } from 'vitest';
import { draftEnvelope, finishEnvelope, writePublishOptions } from '../../src/backplane/envelope.ts';
import { silentMetrics } from '../../src/backplane/metrics.ts';
import { Arrivals } from '../../src/backplane/redis/subscribe/arrivals.ts';
import { newSubscription, type Subscription } from '../../src/backplane/redis/subscribe/subscription.ts';
import { buildMessageFrame, buildSignalFrame } from '../../src/protocol/message-frame.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';

const NO_HISTORY = { messages: 0, ageMs: 0 };
/** The bytes to keep are where other envelopes have the number of a server: that of the one before. */
const HISTORY = { messages: 100, ageMs: 60_000, bytes: 6 * 64 * 1024 };

/** What the node is given of envelopes that arrive from server 5, which took over from server 6. */
function given(envelopes: readonly Buffer[], state: Partial<Subscription> = {}): number {
  let count = 0;
  const arrivals = new Arrivals({
    metrics: silentMetrics,
    signalChannel: 'signals',
    serverNumber: 5,
    envelope: () => count++,
    presence: () => undefined,
    probe: () => undefined,
    signal: () => undefined,
  });
  arrivals.tookOverFrom({ serverNumber: 6 });
  arrivals.tookOverFrom({});
  arrivals.add({ ...newSubscription('lobby', 'channel', 0, 0), ...state });
  for (const bytes of envelopes) arrivals.arrived('channel', bytes);
  return count;
}

function signal(publishedOn: number): Buffer {
  const frame = buildSignalFrame('lobby', 1, 'ann', packValue('typing'));
  const draft = draftEnvelope([{ ...frame, exclude: 0 }], 'n0de0001', 1, publishedOn);
  return finishEnvelope(draft, 'epoch001', 7).bytes;
}

function message(history: typeof HISTORY | typeof NO_HISTORY, publishedOn: number): Buffer {
  const frame = buildMessageFrame('lobby', 1, 'ann', packValue('hello'));
  const draft = draftEnvelope([{ ...frame, exclude: 0 }], 'n0de0001', 1);
  writePublishOptions(draft, 0, history, 0, publishedOn);
  return history.messages === 0
    ? finishEnvelope(draft, '', 0).bytes
    : finishEnvelope(draft, 'epoch001', 7).bytes;
}

describe('what arrives from a server of a Redis Cluster', () => {
  it('counts where it was published on that server', () => {
    expect(given([signal(5), message(NO_HISTORY, 5)])).toBe(2);
  });

  it('does not count where it was published on the one before, and nothing is numbered: it was heard there', () => {
    expect(given([signal(6), message(NO_HISTORY, 6)])).toBe(0);
  });

  it('counts where it was published on one that the node does not know to have taken over', () => {
    expect(given([signal(7), message(NO_HISTORY, 7)])).toBe(2);
  });

  it('does not count where the room is being subscribed on the server on which it was published', () => {
    const former = [{ heard: async () => undefined, leave: () => undefined }];
    expect(given([signal(7), message(NO_HISTORY, 7)], { former, isSent: false })).toBe(2);
    expect(given([signal(7), message(NO_HISTORY, 7)], { former, isSent: true })).toBe(0);
    expect(given([signal(5)], { former, isSent: true })).toBe(1);
  });

  it('counts where it has an offset, wherever it was published', () => {
    expect(given([message(HISTORY, 5), message(HISTORY, 6)])).toBe(2);
  });

  it('counts where a node of an earlier version published it, which does not say where', () => {
    expect(given([signal(0), message(NO_HISTORY, 0)])).toBe(2);
  });
});
