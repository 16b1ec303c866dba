import { setTimeout as sleep } from 'node:timers/promises';
import { nowUs } from './clock.ts';
import type { LoadConnection, Target } from './connection.ts';
import { Histogram, type HistogramData } from './histogram.ts';

export interface OpeningPlan {
  /** Connections being opened at the same time. */
  readonly atOnce: number;
  /** New connections a second, or null for as fast as possible. */
  readonly perSecond: number | null;
}

export interface Opening {
  readonly opened: number;
  /** Attempts that failed and were repeated. Only reconnecting members retry. */
  readonly refused: number;
  readonly seconds: number;
  readonly cpuUs: number;
  /** From the connect to the end of the join. */
  readonly latency: HistogramData;
}

/** About how long a reconnecting member waits before it tries again, and for how long it tries. */
const RETRY_MS = 200;
const RETRIES_MS = 60_000;

/** Opens connections, spreading them over the targets. */
export class Opener {
  readonly #targets: readonly Target[];
  readonly #chunkRead: () => void;
  readonly #gaveUp: (error: Error) => void;

  /** `gaveUp` is called for each that could not reconnect. */
  constructor(targets: readonly Target[], chunkRead: () => void, gaveUp: (error: Error) => void) {
    this.#targets = targets;
    this.#chunkRead = chunkRead;
    this.#gaveUp = gaveUp;
  }

  /** All connections, the targets in turn. Rejects with the first failure. */
  open(connections: readonly LoadConnection[], plan: OpeningPlan): Promise<Opening> {
    return this.#measure(connections, plan, async (connection, i) => {
      // By room too: else the first members of all rooms, which publish, would be on one node if members
      // divide by nodes.
      const target = this.#targets[(i + connection.room) % this.#targets.length]!;
      await connection.open(target, this.#chunkRead);
      return 0;
    });
  }

  /** All connections, each to a random target, after a pause and with retries. */
  async reopen(
    connections: readonly LoadConnection[],
    plan: OpeningPlan,
    backAfterMs: number,
  ): Promise<Opening> {
    await sleep(backAfterMs);
    return this.#measure(connections, plan, (connection) => this.#persist(connection));
  }

  async #persist(connection: LoadConnection): Promise<number> {
    const deadline = performance.now() + RETRIES_MS;
    for (let refused = 0; ; refused++) {
      const target = this.#targets[Math.floor(Math.random() * this.#targets.length)]!;
      try {
        await connection.open(target, this.#chunkRead);
        return refused;
      } catch (error) {
        if (performance.now() > deadline) {
          this.#gaveUp(error as Error);
          return refused + 1;
        }
        await sleep(RETRY_MS * (0.5 + Math.random()));
      }
    }
  }

  async #measure(
    connections: readonly LoadConnection[],
    { atOnce, perSecond }: OpeningPlan,
    open: (connection: LoadConnection, index: number) => Promise<number>,
  ): Promise<Opening> {
    const latency = new Histogram();
    const cpuBefore = process.cpuUsage();
    const startMs = performance.now();
    let next = 0;
    let refused = 0;
    const run = async (): Promise<void> => {
      while (next < connections.length) {
        const index = next++;
        if (perSecond !== null) await sleep(startMs + (index / perSecond) * 1000 - performance.now());
        const startUs = nowUs();
        refused += await open(connections[index]!, index);
        latency.record(nowUs() - startUs);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, run));
    const { user, system } = process.cpuUsage(cpuBefore);
    const seconds = (performance.now() - startMs) / 1000;
    return { opened: connections.length, refused, seconds, cpuUs: user + system, latency: latency.toJSON() };
  }
}
