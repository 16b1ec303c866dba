import { setTimeout as sleep } from 'node:timers/promises';
import type { Contender } from '../server/contender.ts';
import type { RunningServer } from '../server/running-server.ts';

const SAMPLE_MS = 100;
/** The young generation shrinks only in a collection some time after one that found it empty. */
const COLLECTIONS = 3;
const COLLECTION_MS = 500;
const PATIENCE_MS = 5000;
const MAX_BUSY = 0.05;

/** The highest memory of the server's processes since this was made, sampled. */
export class PeakMemory {
  readonly #server: RunningServer;
  readonly #timer: NodeJS.Timeout;
  /** So far. */
  bytes = 0;

  constructor(server: RunningServer) {
    this.#server = server;
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#sample();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    // The server is gone, so there is nothing to read: its waiter gets the error.
    if (this.#server.isRunning) this.bytes = Math.max(this.bytes, this.#server.memoryBytes);
    else this.end();
  }
}

/** Resolves when the server is nearly idle, or after `patienceMs`. */
export async function untilIdle(server: RunningServer, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline) {
    const beforeUs = server.cpuUs;
    const startMs = performance.now();
    await sleep(4 * SAMPLE_MS);
    if (server.cpuUs - beforeUs < MAX_BUSY * (performance.now() - startMs) * 1000) return;
  }
}

/** What a contender needs so that `collectGarbage` works. Only Node servers are measured with it. */
export function withCollection(contender: Contender): Contender {
  const preload = new URL('../server/collect-on-signal.js', import.meta.url).href;
  return { ...contender, env: { ...contender.env, NODE_OPTIONS: `--import=${preload}` } };
}

/** Resolves when the server, started `withCollection`, has given back what it does not need. */
export async function collectGarbage(server: RunningServer): Promise<void> {
  for (let collection = 0; collection < COLLECTIONS; collection++) {
    server.signal('SIGUSR2');
    await sleep(COLLECTION_MS);
  }
  await untilIdle(server, PATIENCE_MS);
}
