import type { Identity } from '../../auth/identity.ts';
import type { Allowance } from '../../connection/allowance.ts';
import type { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import type { Heartbeats } from '../../connection/heartbeats.ts';
import type { BrokerNode } from '../../node/broker-node.ts';
import { CLOSE, type CloseReason, type ErrorCode } from '../../protocol/codes.ts';
import type { ErrorDetails, JoinCommand, JoinResult } from '../../protocol/frames.ts';
import { encodeJoined } from '../../protocol/sse/codec.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import type { Place } from '../../util/tally.ts';
import type { Exchange } from '../http/exchange.ts';
import { EventSocket, type EventSocketOwner, type EventSocketParts } from './event-socket.ts';
import { type JoinOutcomes, StreamConnection } from './stream-connection.ts';

/** After a cut each reader waits for another time in this range. Otherwise all readers of a killed node return at once. */
const MIN_RETRY_MS = 1000;
const MAX_RETRY_MS = 3000;

export const EVENT_STREAM = 'text/event-stream';
export const STREAM_HEADERS = {
  'Cache-Control': 'no-store, no-transform',
  // nginx collects an answer otherwise, until it has a buffer full.
  'X-Accel-Buffering': 'no',
};

/** What a reader asks for. */
export interface StreamWish {
  /** Null: an anonymous one. */
  readonly identity: Identity | null;
  readonly joins: readonly JoinCommand[];
  /** What the reader may still do. */
  readonly allowance: Allowance;
}

/** What all event streams of a node share. */
export interface EventStreamParts extends EventSocketParts {
  readonly node: BrokerNode;
  readonly context: ConnectionContext<Connection>;
  readonly heartbeats: Heartbeats<Connection>;
  readonly scheduler: Pick<Scheduler, 'random'>;
  /** A stream ended, which had this place among those of its address. */
  closed(place: Place | null): void;
}

/**
 * One event stream, from the request to its end: a connection that joins its rooms as it opens. It begins when the
 * first room is joined; what fails before that is an answer with a status of its own.
 */
export class EventStream implements EventSocketOwner, JoinOutcomes {
  readonly #exchange: Exchange;
  /** The id of each is its place in this list, from 1. */
  readonly #joins: readonly JoinCommand[];
  readonly #place: Place | null;
  readonly #parts: EventStreamParts;
  readonly #socket: EventSocket;
  readonly #connection: StreamConnection;

  constructor(
    exchange: Exchange,
    { identity, joins, allowance }: StreamWish,
    place: Place | null,
    parts: EventStreamParts,
  ) {
    const { node, context, heartbeats } = parts;
    this.#exchange = exchange;
    this.#joins = joins;
    this.#place = place;
    this.#parts = parts;
    this.#socket = new EventSocket(exchange, parts, this);
    this.#connection = new StreamConnection(
      node.nextNumber(),
      this.#socket,
      identity,
      context,
      allowance,
      this,
    );
    heartbeats.add(this.#connection);
    context.metrics.connections.opened.sse++;
    node.streamOpened(this.#connection);
  }

  /** Called once. Joins count among the commands of all connections. */
  joinAll(): void {
    const joins = this.#joins;
    let at = 0;
    this.#connection.give({ next: () => joins[at++] ?? null, keep: () => joins.length - at });
  }

  // ---- its joins -------------------------------------------------------------------------------------------

  joined(id: number, result: JoinResult): void {
    const { room, since, resume } = this.#joins[id - 1]!;
    const { epoch, offset, from } = result;
    // A reader that brought a position, or resumes, keeps that until a message, a gap or a reset takes it further.
    const keepsItsOwn = (since !== null || resume) && from === undefined;
    const position = keepsItsOwn ? null : ([epoch, from ?? offset] as const);
    const spread = this.#parts.scheduler.random() * (MAX_RETRY_MS - MIN_RETRY_MS);
    this.#socket.begin();
    this.#connection.queue(encodeJoined(room, result, position, MIN_RETRY_MS + Math.floor(spread)));
  }

  /** One room that cannot be had ends the stream: its reader would take the silence for that of the room. */
  failed(id: number, code: ErrorCode, message: string, details?: ErrorDetails): void {
    if (!this.#connection.isOpen) return;
    if (this.#socket.hasBegun) {
      this.#connection.fail(0, code, message, { ...details, room: this.#joins[id - 1]!.room });
      return this.#connection.close(code === 'forbidden' ? CLOSE.unauthorized : CLOSE.tryAgainLater);
    }
    this.#socket.abandon();
    this.#exchange.fail(code, message, {}, details);
  }

  // ---- its socket ------------------------------------------------------------------------------------------

  writeHead(): void {
    this.#exchange.writeHead(200, EVENT_STREAM, STREAM_HEADERS);
  }

  notBegun({ reason }: CloseReason): void {
    const message = `the stream ended before it began: ${reason}`;
    this.#exchange.fail('unavailable', message, {}, { retryAfterMs: 1000 });
  }

  drained(): void {
    this.#parts.node.drained(this.#connection);
  }

  missed(): void {
    this.#parts.node.missed(this.#connection);
  }

  alive(): void {
    this.#parts.heartbeats.heard(this.#connection);
  }

  gone(code: number): void {
    const { node, context, heartbeats, closed } = this.#parts;
    context.metrics.connections.countClose(code);
    heartbeats.remove(this.#connection);
    this.#connection.closed();
    node.disconnected(this.#connection);
    closed(this.#place);
  }
}
