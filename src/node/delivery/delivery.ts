import { PUSH_RIGHTS } from '../../auth/rights.ts';
import type { Envelope } from '../../backplane/envelope.ts';
import type { Connection } from '../../connection/connection.ts';
import type { FlushQueue } from '../../connection/flush-queue.ts';
import type { Fanout } from '../../connection/socket.ts';
import type { Hub } from '../../hub/hub.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import { jsonCodec, msgpackCodec, type ServerCodec } from '../../protocol/codec.ts';
import type { Position, PushFrame } from '../../protocol/frames.ts';
import { sseCodec } from '../../protocol/sse/codec.ts';
import type { ReaderEncoding } from '../../protocol/subprotocol.ts';
import type { Clock } from '../../util/clock.ts';
import type { EndOfTurn } from '../../util/end-of-turn.ts';
import type { CatchUp } from '../catch-up/catch-up.ts';
import { Cursor } from '../catch-up/cursor.ts';
import type { Feed } from '../rooms/feed.ts';
import type { Feeds } from '../rooms/feeds.ts';
import { hearingMembers, leaveTopics, liveMembers } from '../rooms/topics.ts';
import { transcoded } from '../rooms/transcode.ts';
import { type Run, Runs } from './runs.ts';
import { SentLog } from './sent-log.ts';

export interface DeliveryParts {
  readonly nodeId: string;
  readonly sockets: Fanout;
  readonly hub: Hub<Connection>;
  readonly feeds: Feeds;
  readonly catchUp: CatchUp;
  readonly flushQueue: FlushQueue;
  readonly endOfTurn: EndOfTurn;
  readonly metrics: NodeMetrics;
  readonly clock: Clock;
}

/**
 * Sends what is pending in feeds to the members' sockets: one topic publish for everything that one turn
 * brought to a room, with the bytes that came from the backplane. Members that read JSON or events are on
 * sibling topics; the run is transcoded once for each.
 *
 * Members that read too slowly: when uWebSockets.js drops a message for a socket, the connection leaves the
 * topics of all of its rooms and gets a cursor in each, at the last offset that was sent to it; the cursor
 * continues when the socket drains. So the cost of a slow reader is bounded: the socket's queue, and nothing
 * more.
 *
 * All of this happens in `endTurn`, never in a message handler: there the loop's cork buffer belongs to the
 * sender, and each publish past the 32nd would cost a system call per member (measured: twice the CPU of the
 * same publishes from the end of the turn).
 */
export class Delivery {
  readonly #parts: DeliveryParts;
  readonly #sent = new SentLog();
  readonly #runs: Runs;
  /** Slow connections, with the index in the log of the first message that each is missing. */
  #slow = new Map<Connection, number>();

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
    this.#runs = new Runs(parts.nodeId, (feed, run) => this.#publishRun(feed, run));
  }

  /** The end of the event loop's turn: its output leaves, in the order that `FlushQueue` explains. */
  endTurn(): void {
    const { feeds, flushQueue } = this.#parts;
    this.#takeSlowOffTopics();
    this.#sent.clear();
    flushQueue.flushFirst();
    this.#takeSlowOffTopics();
    for (const feed of feeds.takeDirty()) this.#deliver(feed);
    flushQueue.flushRest();
  }

  // ---- what is pending -------------------------------------------------------------------------------------

  #deliver(feed: Feed): void {
    for (const item of feed.takePending() ?? []) {
      if (isEnvelope(item)) {
        this.#observeLatency(item);
        if (item.conflates) feed.newest?.note(item, this.#parts.nodeId, this.#parts.clock.nowMs());
        this.#runs.add(feed, item);
      } else {
        this.#runs.end(feed);
        this.#publishPushes(feed, item);
      }
    }
    this.#runs.end(feed);
  }

  #publishRun(feed: Feed, run: Run): void {
    const { room } = feed;
    if (room.members > 0) {
      const frames = run.parts.length === 1 ? run.parts[0]! : Buffer.concat(run.parts, run.bytes);
      let reached = 0;
      if (room.binaryMembers > 0) reached += this.#publish(feed, frames, run.exclude, 'msgpack');
      if (room.textMembers > 0) reached += this.#publishTranscoded(feed, frames, run.exclude, jsonCodec);
      if (room.eventMembers > 0) reached += this.#publishTranscoded(feed, frames, run.exclude, sseCodec);
      this.#parts.metrics.messages.delivered += reached * run.messages;
    }
    if (run.last !== 0) feed.sentOffset = run.last;
    if (run.marks !== 0 && feed.newest !== null) feed.newest.sent += run.marks;
    this.#takeSlowOffTopics();
  }

  #publishTranscoded(feed: Feed, frames: Buffer, exclude: number, codec: ServerCodec): number {
    const message = transcoded(frames, codec, feed.sentEpoch, this.#parts.metrics);
    return message === null ? 0 : this.#publish(feed, message, exclude, codec.encoding);
  }

  #publishPushes(feed: Feed, frames: readonly PushFrame[]): void {
    const { room } = feed;
    if (room.binaryMembers > 0) this.#publishFrames(feed, frames, msgpackCodec);
    if (room.textMembers > 0) this.#publishFrames(feed, frames, jsonCodec);
    if (room.eventMembers > 0) this.#publishFrames(feed, frames, sseCodec);
    for (const frame of frames) {
      if (frame[0] === 'reset') feed.sentEpoch = frame[2];
      if (frame[0] === 'reset' || frame[0] === 'gap') feed.sentOffset = frame[3];
    }
    this.#takeSlowOffTopics();
  }

  /** What members are told of each other is for those that may know it. */
  #publishFrames(feed: Feed, frames: readonly PushFrame[], codec: ServerCodec): void {
    const { encoding } = codec;
    const message = encodeAll(codec, frames, feed.sentEpoch);
    if (PUSH_RIGHTS[frames[0]![0]] !== 'members') return void this.#publish(feed, message, 0, encoding);
    const { sockets, metrics } = this.#parts;
    this.#sent.add(feed, message, encoding, 0, true);
    sockets.publish(feed.room.memberTopic(encoding), message, encoding);
    const reached = hearingMembers(feed, encoding);
    metrics.traffic.messagesSent += reached;
    metrics.traffic.bytesSent += reached * message.length;
  }

  /** Returns how many sockets were reached. */
  #publish(feed: Feed, message: Uint8Array | string, exclude: number, encoding: ReaderEncoding): number {
    const { sockets, hub, metrics } = this.#parts;
    const { room } = feed;
    const topic = room.topic(encoding);
    const publisher = exclude === 0 ? undefined : hub.connection(exclude);
    const isLeftOut = publisher?.encoding === encoding && publisher.rooms.includes(room.name);
    this.#sent.add(feed, message, encoding, exclude, false);
    if (isLeftOut) publisher.socket.publishToOthers(topic, message);
    else sockets.publish(topic, message, encoding);
    const reached = liveMembers(feed, encoding) - (isLeftOut ? 1 : 0);
    metrics.traffic.messagesSent += reached;
    metrics.traffic.bytesSent += reached * message.length;
    return reached;
  }

  #observeLatency(envelope: Envelope): void {
    const { metrics, nodeId, clock } = this.#parts;
    const { deliveryLatency } = metrics.messages;
    const histogram = envelope.origin === nodeId ? deliveryLatency.local : deliveryLatency.remote;
    histogram.observe(Math.max(0, clock.wallMs() - envelope.sentAtMs) / 1000);
  }

  // ---- slow readers ----------------------------------------------------------------------------------------

  /**
   * A message was dropped for this connection. Called from within a drain of uWebSockets.js, where topics
   * must not be left: that is done before anything more is published.
   */
  dropped(connection: Connection, message: Uint8Array): void {
    if (this.#slow.has(connection)) return;
    const at = this.#sent.find(message);
    // Not from a topic: a reply or a cursor's message, which the connection itself keeps.
    if (at === -1) return;
    this.#slow.set(connection, at);
    this.#parts.endOfTurn.request();
  }

  /** The message that is being published could not be kept for this connection, whose topics are not native. */
  missed(connection: Connection): void {
    if (!this.#slow.has(connection)) this.#slow.set(connection, this.#sent.lastIndex);
    this.#parts.endOfTurn.request();
  }

  /** Replies wait for this connection to read: later messages must not overtake them. */
  stalled(connection: Connection): void {
    if (!this.#slow.has(connection)) this.#slow.set(connection, Number.POSITIVE_INFINITY);
    this.#parts.endOfTurn.request();
  }

  #takeSlowOffTopics(): void {
    if (this.#slow.size === 0) return;
    const slow = this.#slow;
    this.#slow = new Map();
    for (const [connection, at] of slow) if (connection.isOpen) this.#takeOffTopics(connection, at);
  }

  #takeOffTopics(connection: Connection, at: number): void {
    const { feeds, catchUp } = this.#parts;
    for (const name of connection.rooms) {
      const feed = feeds.get(name);
      if (!feed || !connection.isOpen) continue;
      if (catchUp.find(connection, feed) === null) this.#takeOffTopic(connection, feed, at);
    }
  }

  #takeOffTopic(connection: Connection, feed: Feed, at: number): void {
    const { catchUp, metrics } = this.#parts;
    const policy = feed.rule.slowReaders;
    const lacks = this.#sent.firstFor(feed, at, connection);
    // A room that lost nothing for this reader does not close the connection.
    if (policy === 'disconnect' && !lacks) return;
    metrics.recovery.slowReaders[policy]++;
    leaveTopics(connection, feed.room, feed);
    const from: Position = lacks ? [lacks.afterEpoch, lacks.afterOffset] : [feed.sentEpoch, feed.sentOffset];
    catchUp.startNextTurn(Cursor.resuming(connection, feed, from, lacks?.afterMark ?? feed.sentMark));
  }
}

function isEnvelope(item: Envelope | readonly PushFrame[]): item is Envelope {
  return !Array.isArray(item);
}

/** `epoch`: of the room's topics before them. */
function encodeAll(codec: ServerCodec, frames: readonly PushFrame[], epoch: string): Uint8Array | string {
  let current = epoch;
  const parts = frames.map((frame) => {
    if (frame[0] === 'reset') current = frame[2];
    return codec.encode(frame, current);
  });
  return parts.length === 1 ? parts[0]! : codec.join(parts);
}
