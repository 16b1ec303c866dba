import type { Backplane } from '../backplane/backplane.ts';
import type { Connection } from '../connection/connection.ts';
import type { Hub } from '../hub/hub.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { CLOSE } from '../protocol/codes.ts';
import type { Logger } from '../util/log.ts';

export interface ControlMessagesParts {
  readonly backplane: Pick<Backplane, 'signal'>;
  readonly hub: Hub<Connection>;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

/**
 * A request from one node to all nodes, including itself. JSON, since it is rare and other versions may
 * extend it.
 */
interface ControlMessage {
  readonly type: 'disconnect';
  readonly user: string;
}

/** Sends requests to all nodes, and carries out those that arrive. */
export class ControlMessages {
  readonly #parts: ControlMessagesParts;

  constructor(parts: ControlMessagesParts) {
    this.#parts = parts;
  }

  /**
   * Closes the connections of a user, on every node. Resolves when the request is sent. Rejects with
   * `BackplaneError`.
   */
  disconnect(user: string): Promise<void> {
    const message: ControlMessage = { type: 'disconnect', user };
    return this.#parts.backplane.signal(JSON.stringify(message));
  }

  /** A request arrived. An unreadable one is counted and ignored. */
  arrived(text: string): void {
    const message = parseMessage(text);
    if (message === null) this.#parts.metrics.backplane.malformedEnvelope();
    else this.#disconnect(message.user);
  }

  #disconnect(user: string): void {
    const { hub, log } = this.#parts;
    // A copy: a connection leaves the hub while it is being closed.
    const connections = [...hub.connectionsOf(user)];
    for (const connection of connections) connection.close(CLOSE.disconnected);
    if (connections.length > 0) {
      log.info({ connections: connections.length }, 'the server API closed connections of a user');
    }
  }
}

function parseMessage(text: string): ControlMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The caller counts it.
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { type, user } = value as Record<string, unknown>;
  if (type !== 'disconnect' || typeof user !== 'string' || user === '') return null;
  return { type, user };
}
