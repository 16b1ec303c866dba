import type { Connection } from '../connection/connection.ts';
import type { Heartbeats } from '../connection/heartbeats.ts';
import type { BrokerNode } from '../node/broker-node.ts';
import { Drain } from '../node/drain.ts';
import type { Server } from '../transport/server.ts';
import type { Logger } from '../util/log.ts';
import type { Scheduler } from '../util/scheduler.ts';

export interface ShutdownParts {
  readonly node: BrokerNode;
  readonly servers: readonly Server[];
  readonly heartbeats: Heartbeats<Connection>;
  /** Milliseconds over which connections are moved to other nodes. */
  readonly windowMs: number;
  readonly scheduler: Scheduler;
  readonly log: Logger;
}

/** How often the drain takes a step. */
const STEP_MS = 20;

/**
 * The orderly shutdown of a node: not ready, no new connections, `bye` to open ones at a steady pace; then
 * the rest is flushed and closed. It keeps listening until the end, so that a balancer can ask why it is not
 * ready.
 */
export class Shutdown {
  readonly #parts: ShutdownParts;
  #running: Promise<void> | null = null;

  constructor(parts: ShutdownParts) {
    this.#parts = parts;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** Resolves when everything is closed. May be called again: both calls await the same shutdown. */
  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    const { node, servers, heartbeats, log } = this.#parts;
    log.info({ connections: node.hub.connectionCount }, 'draining');
    await this.#drain();
    heartbeats.stop();
    for (const server of servers) server.stopListening();
    await node.close();
    for (const server of servers) server.close();
    log.info({}, 'shut down');
  }

  #drain(): Promise<void> {
    const { node, windowMs, scheduler } = this.#parts;
    const drain = new Drain(node.hub.connections(), scheduler.nowMs(), {
      windowMs,
      random: scheduler.random,
    });
    return new Promise((resolve) => {
      const timer = scheduler.every(STEP_MS, () => {
        if (!drain.step(scheduler.nowMs())) return;
        timer.cancel();
        resolve();
      });
    });
  }
}
