/** Backplanes with the same settings, so that one suite can run over all of them. */
import type { Backplane } from '../../src/backplane/backplane.ts';
import type { Envelope } from '../../src/backplane/envelope.ts';
import type { MemoryBackplaneOptions } from '../../src/backplane/memory/memory-backplane.ts';
import { silentMetrics } from '../../src/backplane/metrics.ts';
import { RedisBackplane, type RedisBackplaneOptions } from '../../src/backplane/redis/redis-backplane.ts';
import { systemClock } from '../../src/util/clock.ts';
import { randomId } from '../../src/util/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { waitFor } from './wait.ts';

/** What a backplane told its node. */
export class Heard {
  readonly envelopes: { readonly room: string; readonly envelope: Envelope }[] = [];
  readonly signals: string[] = [];
  resumes = 0;

  envelope(room: string, envelope: Envelope): void {
    this.envelopes.push({ room, envelope });
  }

  resumed(): void {
    this.resumes++;
  }

  signal(text: string): void {
    this.signals.push(text);
  }

  of(room: string): Envelope[] {
    return this.envelopes.filter((heard) => heard.room === room).map(({ envelope }) => envelope);
  }

  messages(room: string): number {
    return this.of(room).reduce((sum, envelope) => sum + envelope.count, 0);
  }

  /** Resolves when that many messages of the room have arrived. */
  async untilMessages(room: string, count: number): Promise<Envelope[]> {
    await waitFor(() => this.messages(room) >= count, { for: `${count} messages of ${room}` });
    return this.of(room);
  }
}

/** Settings that both have. */
export interface Times {
  readonly dedupWindowMs?: number;
  readonly metaTtlMs?: number;
  readonly emptyMetaTtlMs?: number;
  readonly acksTtlMs?: number;
  readonly maxDenials?: number;
}

export interface Running<B extends Backplane = Backplane> {
  readonly backplane: B;
  readonly heard: Heard;
  readonly nodeId: string;
}

export function memoryOptions(times: Times = {}): MemoryBackplaneOptions {
  const settings = { dedupWindowMs: 60_000, metaTtlMs: 60_000, acksTtlMs: 60_000, sweepMs: 20, ...times };
  return { nodeId: randomId(8), clock: systemClock, ...settings };
}

export function redisOptions(
  url: string,
  settings: Partial<RedisBackplaneOptions> = {},
): RedisBackplaneOptions {
  return {
    url,
    keyPrefix: `t${randomId(6)}`,
    partitions: 16,
    commandTimeoutMs: 2_000,
    startupTimeoutMs: 5_000,
    dedupWindowMs: 60_000,
    metaTtlMs: 60_000,
    acksTtlMs: 60_000,
    nodeId: randomId(8),
    clock: systemClock,
    log: silentLog,
    metrics: silentMetrics,
    ...settings,
  };
}

export async function startRedis(
  url: string,
  settings: Partial<RedisBackplaneOptions> = {},
): Promise<Running<RedisBackplane>> {
  const options = redisOptions(url, settings);
  return start(new RedisBackplane(options), options.nodeId);
}

export async function start<B extends Backplane>(backplane: B, nodeId: string): Promise<Running<B>> {
  const heard = new Heard();
  await backplane.start(heard);
  return { backplane, heard, nodeId };
}
