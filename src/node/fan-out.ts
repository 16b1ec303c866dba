import type { Envelope } from '../backplane/envelope.ts';
import type { Connection } from '../connection/connection.ts';
import type { Fanout } from '../connection/socket.ts';
import type { Hub } from '../hub/hub.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { jsonCodec, msgpackCodec } from '../protocol/codec.ts';
import type { PushFrame } from '../protocol/frames.ts';
import type { Clock } from '../util/clock.ts';
import type { Feed } from './feed.ts';
import type { SentLog } from './sent-log.ts';
import { transcode } from './transcode.ts';

/** Envelopes of one room and turn are joined into WebSocket messages of about this many bytes. */
const JOINED_BYTES = 64 * 1024;

/** Frames that come one after the other in an envelope. */
interface Piece {
  readonly frames: Buffer;
  readonly messages: number;
  readonly last: number;
  readonly exclude: number;
}

/** Frames for the same audience that leave as one WebSocket message. */
interface Run {
  readonly parts: Buffer[];
  bytes: number;
  messages: number;
  /** Offset of its newest message; 0 in rooms without history. */
  last: number;
  /** Local connection that is left out, or 0. */
  readonly exclude: number;
}

export interface FanOutParts {
  readonly nodeId: string;
  readonly sockets: Fanout;
  readonly hub: Hub<Connection>;
  readonly sent: SentLog;
  /** Called after each publish: sockets that dropped it must leave the topic before the next one. */
  readonly settleSlow: () => void;
  readonly metrics: NodeMetrics;
  readonly clock: Clock;
}

/**
 * Hands a feed's pending frames to the members' sockets: one topic publish for all that one turn brought, as the bytes
 * that came from the backplane. Members that read JSON sit on a sibling topic; for them the run is transcoded once.
 *
 * Never called from a message handler: there the loop's cork buffer belongs to the sender, and each publish past the 32nd
 * would cost a system call per member (measured: twice the CPU of the same publishes from the end of the turn).
 */
export class FanOut {
  readonly #parts: FanOutParts;

  constructor(parts: FanOutParts) {
    this.#parts = parts;
  }

  /** Publishes all that is pending in a feed. */
  flush(feed: Feed): void {
    const pending = feed.takePending();
    if (pending === null) return;
    let run: Run | null = null;
    for (const item of pending) {
      if (isEnvelope(item)) run = this.#extend(feed, run, item);
      else {
        this.#publishRun(feed, run);
        run = null;
        this.#publishPush(feed, item);
      }
    }
    this.#publishRun(feed, run);
  }

  #extend(feed: Feed, run: Run | null, envelope: Envelope): Run {
    this.#observeLatency(envelope);
    // Only the node that has the publisher needs to take a run apart to leave it out.
    if (!envelope.hasExcludes || envelope.origin !== this.#parts.nodeId) {
      const { frames, count: messages, last } = envelope;
      return this.#add(feed, run, { frames, messages, last, exclude: 0 });
    }
    let current = run;
    for (let i = 0; i < envelope.count; i++) {
      const last = envelope.first === 0 ? 0 : envelope.first + i;
      const piece = { frames: envelope.slice(i, i + 1), messages: 1, last, exclude: envelope.excluded(i) };
      current = this.#add(feed, current, piece);
    }
    return current!;
  }

  /** Adds a piece to a run, or publishes the run and begins another. */
  #add(feed: Feed, run: Run | null, { frames, messages, last, exclude }: Piece): Run {
    const bytes = frames.length;
    if (run === null || run.exclude !== exclude || run.bytes + bytes > JOINED_BYTES) {
      this.#publishRun(feed, run);
      return { parts: [frames], bytes, messages, last, exclude };
    }
    run.parts.push(frames);
    run.bytes += bytes;
    run.messages += messages;
    run.last = last;
    return run;
  }

  #publishRun(feed: Feed, run: Run | null): void {
    if (run === null) return;
    const { room } = feed;
    if (room.members > 0) {
      const frames = run.parts.length === 1 ? run.parts[0]! : Buffer.concat(run.parts, run.bytes);
      let reached = 0;
      if (room.binaryMembers > 0) reached += this.#publish(feed, frames, run.exclude, false);
      const text = room.textMembers > 0 ? transcode(frames, this.#parts.metrics) : null;
      if (text !== null) reached += this.#publish(feed, text, run.exclude, true);
      this.#parts.metrics.messages.delivered += reached * run.messages;
    }
    if (run.last !== 0) feed.sentOffset = run.last;
    this.#parts.settleSlow();
  }

  #publishPush(feed: Feed, frame: PushFrame): void {
    if (feed.room.binaryMembers > 0) this.#publish(feed, msgpackCodec.encode(frame), 0, false);
    if (feed.room.textMembers > 0) this.#publish(feed, jsonCodec.encode(frame), 0, true);
    if (frame[0] === 'reset') feed.sentEpoch = frame[2];
    if (frame[0] === 'reset' || frame[0] === 'gap') feed.sentOffset = frame[3];
    this.#parts.settleSlow();
  }

  /** Returns how many sockets were reached. */
  #publish(feed: Feed, message: Uint8Array | string, exclude: number, text: boolean): number {
    const { sockets, sent, hub, metrics } = this.#parts;
    const { room } = feed;
    const topic = room.topic(text);
    const publisher = exclude === 0 ? undefined : hub.connection(exclude);
    const isLeftOut = publisher?.readsText === text && publisher.rooms.includes(room.name);
    sent.add(feed, message, exclude);
    if (isLeftOut) publisher.socket.publishToOthers(topic, message);
    else sockets.publish(topic, message);
    let reached = (text ? room.textMembers : room.binaryMembers) - (isLeftOut ? 1 : 0);
    for (const { connection } of feed.cursors) if (connection.readsText === text) reached--;
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
}

function isEnvelope(item: Envelope | PushFrame): item is Envelope {
  return !Array.isArray(item);
}
