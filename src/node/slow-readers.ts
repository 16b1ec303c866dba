import type { Connection } from '../connection/connection.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { Position } from '../protocol/frames.ts';
import { Cursor } from './cursor.ts';
import type { Cursors } from './cursors.ts';
import type { Feed } from './feed.ts';
import type { Feeds } from './feeds.ts';
import type { SentLog } from './sent-log.ts';

export interface SlowReadersParts {
  readonly feeds: Feeds;
  readonly cursors: Cursors;
  readonly sent: SentLog;
  readonly metrics: NodeMetrics;
  /** Asks for a turn, at whose beginning `settle` is called. */
  readonly requestTurn: () => void;
}

/**
 * Members that read too slowly. When uWebSockets.js drops a message for a socket, the connection leaves the topics of all
 * of its rooms and gets a cursor in each, at the last offset that it was sent; it goes on from there when its socket
 * drains. So what a slow reader costs is bounded: the socket's queue, and nothing more.
 */
export class SlowReaders {
  readonly #parts: SlowReadersParts;
  /** Connections found slow, with the place in the log of the first message that each lacks. */
  #found = new Map<Connection, number>();

  constructor(parts: SlowReadersParts) {
    this.#parts = parts;
  }

  /**
   * A message was dropped for this connection. Called from within a drain of uWebSockets.js, where topics must not be left:
   * `settle` does that before anything more is published.
   */
  dropped(connection: Connection, message: Uint8Array): void {
    if (this.#found.has(connection)) return;
    const at = this.#parts.sent.find(message);
    // Not from a topic: a reply or what a cursor fed, which the connection itself keeps.
    if (at === -1) return;
    this.#found.set(connection, at);
    this.#parts.requestTurn();
  }

  /** Replies wait for this connection to read: what comes after them must not overtake them. */
  stalled(connection: Connection): void {
    if (!this.#found.has(connection)) this.#found.set(connection, Number.POSITIVE_INFINITY);
    this.#parts.requestTurn();
  }

  /** Takes those found slow off their topics. */
  settle(): void {
    if (this.#found.size === 0) return;
    const found = this.#found;
    this.#found = new Map();
    for (const [connection, at] of found) if (connection.isOpen) this.#suspend(connection, at);
  }

  #suspend(connection: Connection, at: number): void {
    for (const name of connection.rooms) {
      const feed = this.#parts.feeds.get(name);
      if (!feed || !connection.isOpen) continue;
      if (this.#parts.cursors.find(connection, feed) === null) this.#suspendIn(connection, feed, at);
    }
  }

  #suspendIn(connection: Connection, feed: Feed, at: number): void {
    const { cursors, metrics, sent } = this.#parts;
    const policy = feed.rule.slowReaders;
    const lacks = sent.firstFor(feed, at, connection.number, connection.readsText);
    // A room that lost nothing for this reader does not end the connection.
    if (policy === 'disconnect' && !lacks) return;
    metrics.recovery.slowReaders[policy]++;
    connection.socket.unsubscribe(feed.room.topic(connection.readsText));
    const from: Position = lacks ? [lacks.afterEpoch, lacks.afterOffset] : [feed.sentEpoch, feed.sentOffset];
    cursors.park(Cursor.resuming(connection, feed, from));
  }
}
