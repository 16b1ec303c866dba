import type { Connection } from '../connection/connection.ts';
import type { Heartbeats } from '../connection/heartbeats.ts';
import type { BrokerNode } from '../node/broker-node.ts';
import { CLOSE } from '../protocol/codes.ts';
import type { Server } from '../transport/server.ts';
import type { Logger } from '../util/log.ts';

export interface ShutdownParts {
  readonly node: BrokerNode;
  readonly server: Server;
  readonly heartbeats: Heartbeats<Connection>;
  readonly log: Logger;
}

/** The orderly end of a node: not ready, no new connections, `bye` to those that are open, then closed. */
export class Shutdown {
  readonly #parts: ShutdownParts;
  #running: Promise<void> | null = null;

  constructor(parts: ShutdownParts) {
    this.#parts = parts;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    const { node, server, heartbeats, log } = this.#parts;
    log.info({ connections: node.hub.connectionCount }, 'shutting down');
    server.stopListening();
    heartbeats.stop();
    for (const connection of [...node.hub.connections()]) {
      connection.push(['bye', CLOSE.restart.code, { reconnectAfterMs: 0 }]);
      connection.close(CLOSE.restart);
    }
    await node.close();
    server.close();
    log.info({}, 'shut down');
  }
}
