import type { EndOfTurn } from '../util/end-of-turn.ts';

/** A connection, as far as it matters here. */
interface Flushable {
  flush(): void;
}

/**
 * Connections with replies or pushes that wait for the end of the turn, so that what a turn produced for one socket is
 * one WebSocket message. Two lanes, because of two orders that matter:
 *
 * - *first*: leaves before the turn's room messages. The `ok` of a join must come before any message of its room.
 * - *rest*: leaves after them. A publisher that is a member then gets its message and its `ok` in one system call, since
 *   sending to a corked socket first drains what its topics hold for it.
 */
export class FlushQueue {
  readonly #endOfTurn: Pick<EndOfTurn, 'request'>;
  #first: Flushable[] = [];
  #rest: Flushable[] = [];

  /** Asks for the end of the turn; whoever acts there calls the two flushes. */
  constructor(endOfTurn: Pick<EndOfTurn, 'request'>) {
    this.#endOfTurn = endOfTurn;
  }

  addFirst(connection: Flushable): void {
    this.#first.push(connection);
    this.#endOfTurn.request();
  }

  addRest(connection: Flushable): void {
    this.#rest.push(connection);
    this.#endOfTurn.request();
  }

  flushFirst(): void {
    const connections = this.#first;
    if (connections.length === 0) return;
    this.#first = [];
    for (const connection of connections) connection.flush();
  }

  flushRest(): void {
    const connections = this.#rest;
    if (connections.length === 0) return;
    this.#rest = [];
    for (const connection of connections) connection.flush();
  }
}
