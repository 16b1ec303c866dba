import { Histogram, type HistogramData } from './histogram.ts';
import type { Member } from './member.ts';
import { payloadAgeUs, payloadCounter, payloadPublisher, payloadRoom } from './payload.ts';

/**
 * What a connection watches for, besides the index of a publisher in its room: a message that it sees makes
 * room for the next.
 */
export const WATCH = { none: -1, all: -2 } as const;

/** Samples one delivery in this many. A prime, so as not to fall in step with batches and member counts. */
const SAMPLE_EVERY = 17;

/** What one driver process counted in one phase; a plain object, to be sent and added up. */
export interface TallyData {
  /** WebSocket messages and bytes received, headers included. */
  readonly wsMessages: number;
  readonly bytes: number;
  /** Room messages, one for each member that got one. */
  readonly delivered: number;
  /** How many of these had no number, as in rooms without history: their order is not known. */
  readonly unnumbered: number;
  readonly repeated: number;
  readonly reordered: number;
  /** Sampled deliveries that arrived on a connection of another room. */
  readonly misrouted: number;
  /** Acknowledged publishes, if the server acknowledges. */
  readonly acknowledged: number;
  /** Error frames, gaps, closes and the like; the first of them in words. */
  readonly trouble: number;
  readonly firstTrouble: string | null;
  readonly latency: HistogramData;
}

/**
 * How many skipped numbers of a connection may still arrive late. Further ones count as lost, and as repeated
 * if they arrive after all.
 */
const MAX_MISSING = 10_000;

/**
 * Counts what a driver process receives. Everything here is on the hot path: a delivery may cost some 20 ns.
 */
export class Tally {
  wsMessages = 0;
  bytes = 0;
  delivered = 0;
  unnumbered = 0;
  repeated = 0;
  reordered = 0;
  misrouted = 0;
  acknowledged = 0;
  troubles = 0;
  firstTrouble: string | null = null;
  /** When the current chunk was read. */
  chunkUs = 0;
  /** When the last chunk with a WebSocket message was read; pings do not count. */
  messageUs = 0;
  /** Called when the connection that watches for a message receives it. */
  returned: () => void = ignore;
  #latency = new Histogram();
  #untilSample = SAMPLE_EVERY;

  /** One room message; its payload is at `payloadAt`. */
  deliver(connection: Member, bytes: Uint8Array, payloadAt: number): void {
    this.delivered++;
    if (--this.#untilSample === 0) this.#sample(connection, bytes, payloadAt);
    const { watches } = connection;
    if (watches === WATCH.none) return;
    if (watches === WATCH.all || payloadPublisher(bytes, payloadAt) === watches) this.returned();
  }

  /**
   * Checks a message's offset: it must follow the last. 0: a room without history, so its publisher's counter
   * must.
   */
  checkOffset(connection: Member, offset: number, bytes: Uint8Array, payloadAt: number): void {
    const last = connection.lastOffset;
    if (offset === last + 1) connection.lastOffset = offset;
    else if (offset !== 0) connection.lastOffset = this.outOfStep(connection, 0, offset, last);
    else {
      this.unnumbered++;
      this.checkCounter(connection, bytes, payloadAt);
    }
  }

  /** A message without a number: it carries its publisher's counter, which increases by one. */
  checkCounter(connection: Member, bytes: Uint8Array, payloadAt: number): void {
    const publisher = payloadPublisher(bytes, payloadAt);
    const counter = payloadCounter(bytes, payloadAt);
    const last = connection.lastOf[publisher] ?? 0;
    const isNext = counter === last + 1;
    connection.lastOf[publisher] = isNext ? counter : this.outOfStep(connection, publisher, counter, last);
  }

  /** A message arrived out of sequence. Returns the last number from now on. */
  outOfStep(connection: Member, stream: number, number: number, last: number): number {
    connection.missing ??= new Set();
    const { missing } = connection;
    if (number > last) {
      const remembered = Math.max(last + 1, number - MAX_MISSING);
      for (let skipped = remembered; skipped < number && missing.size < MAX_MISSING; skipped++)
        missing.add(keyOf(stream, skipped));
      return number;
    }
    if (missing.delete(keyOf(stream, number))) this.reordered++;
    else this.repeated++;
    return last;
  }

  trouble(what: string): void {
    this.troubles++;
    this.firstTrouble ??= what;
  }

  /** Clears the counts: a new phase starts. */
  reset(): void {
    this.wsMessages = this.bytes = this.delivered = this.repeated = this.reordered = 0;
    this.unnumbered = this.misrouted = this.acknowledged = this.troubles = 0;
    this.firstTrouble = null;
    this.#latency = new Histogram();
  }

  data(): TallyData {
    const { wsMessages, bytes, delivered, unnumbered, repeated, reordered } = this;
    const { misrouted, acknowledged, troubles: trouble, firstTrouble } = this;
    const received = { wsMessages, bytes, delivered, unnumbered, repeated, reordered, misrouted };
    return { ...received, acknowledged, trouble, firstTrouble, latency: this.#latency.toJSON() };
  }

  #sample(connection: Member, bytes: Uint8Array, payloadAt: number): void {
    this.#untilSample = SAMPLE_EVERY;
    if (payloadRoom(bytes, payloadAt) !== connection.room) this.misrouted++;
    this.#latency.record(payloadAgeUs(bytes, payloadAt, this.chunkUs));
  }
}

function keyOf(stream: number, number: number): number {
  return stream * 2 ** 36 + number;
}

function ignore(): void {
  // Nothing is in flight.
}
