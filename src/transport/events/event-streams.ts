import type { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import { Heartbeats } from '../../connection/heartbeats.ts';
import type { TopicList } from '../../connection/topic-list.ts';
import type { BrokerNode } from '../../node/broker-node.ts';
import { AccessRefused } from '../../node/server-api.ts';
import { systemScheduler } from '../../util/scheduler.ts';
import type { Place } from '../../util/tally.ts';
import type { Admission } from '../admission.ts';
import type { Exchange } from '../http/exchange.ts';
import type { EventSocket } from './event-socket.ts';
import {
  EVENT_STREAM,
  EventStream,
  type EventStreamParts,
  STREAM_HEADERS,
  type StreamWish,
} from './event-stream.ts';
import { EventWriter } from './event-writer.ts';

/** Proxies commonly end what is quiet for a minute. */
const HEARTBEAT_MS = 15_000;

export interface EventStreamsParts {
  readonly node: BrokerNode;
  readonly context: ConnectionContext<Connection>;
  readonly admission: Admission;
  readonly topics: TopicList<EventSocket>;
  readonly backpressureBytes: number;
}

/** The event streams of a node. */
export class EventStreams {
  readonly #parts: EventStreamParts;
  readonly #heartbeats: Heartbeats<Connection>;
  readonly #admission: Admission;
  #count = 0;

  constructor({ admission, ...parts }: EventStreamsParts) {
    const scheduler = systemScheduler;
    const intervalMs = Math.min(HEARTBEAT_MS, parts.context.heartbeatMs);
    this.#admission = admission;
    this.#heartbeats = new Heartbeats({ intervalMs, scheduler, onRoundTrip: () => undefined });
    this.#parts = {
      ...parts,
      scheduler,
      heartbeats: this.#heartbeats,
      writer: new EventWriter(scheduler),
      closed: (place) => this.#closed(place),
    };
  }

  /** Opens a stream of these rooms. Throws `AccessRefused`. */
  open(exchange: Exchange, wish: StreamWish): void {
    const { identity, joins } = wish;
    for (const join of joins) {
      const refusal = this.#parts.node.joinRefusal(join.room, identity, join);
      if (refusal !== null) throw new AccessRefused(refusal);
    }
    if (exchange.isHead) return exchange.send(200, EVENT_STREAM, '', STREAM_HEADERS);
    if (this.#count++ === 0) this.#heartbeats.start();
    const place = this.#admission.entered(exchange.addressKey);
    new EventStream(exchange, wish, place, this.#parts).joinAll();
  }

  #closed(place: Place | null): void {
    if (--this.#count === 0) this.#heartbeats.stop();
    this.#admission.left(place);
  }
}
