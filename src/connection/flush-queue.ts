import type { EndOfTurn } from '../util/end-of-turn.ts';

/** The part of a connection that the queue needs. */
interface Flushable {
  flush(): void;
}

/**
 * Connections with replies or pushes that wait for the end of the turn, so that what a turn produced for one
 * socket is one WebSocket message. There are two lanes, because two orders matter:
 *
 * - *first*: leaves before the turn's room messages. The `ok` of a join must come before any message of its room.
 * - *rest*: leaves after them. A publisher that is a member then gets its message and its `ok` in one system call, since
 *   sending to a corked socket first drains what its topics hold for it.
 */
export class FlushQueue {
  readonly #endOfTurn: Pick<EndOfTurn, 'request'>;
  #first: Flushable[] = [];
  #rest: Flushable[] = [];

  /** Requests the end of the turn; the node calls the two flushes there. */
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
