import type { Envelope } from '../backplane/envelope.ts';
import type { Connection } from '../connection/connection.ts';
import type { Fanout } from '../connection/socket.ts';
import type { Hub } from '../hub/hub.ts';
import type { Room } from '../hub/room.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { jsonCodec, msgpackCodec } from '../protocol/codec.ts';
import type { PushFrame } from '../protocol/frames.ts';
import type { Clock } from '../util/clock.ts';
import type { Feed } from './feed.ts';
import { transcode } from './transcode.ts';

/** Envelopes of one room and turn are joined into WebSocket messages of about this many bytes. */
const JOINED_BYTES = 64 * 1024;

/** A run of frames for the same audience. */
interface Run {
  parts: Buffer[];
  bytes: number;
  messages: number;
  /** Local connection that is left out, or 0. */
  exclude: number;
}

/**
 * Hands a feed's pending frames to the members' sockets: one topic publish for all that one turn brought, as the bytes
 * that came from the backplane. Members that read JSON sit on a sibling topic; for them the run is transcoded once.
 *
 * Never called from a message handler: there the loop's cork buffer belongs to the sender, and each publish past the 32nd
 * would cost a system call per member (measured: twice the CPU of the same publishes from the end of the turn).
 */
export class FanOut {
  readonly #nodeId: string;
  readonly #sockets: Fanout;
  readonly #hub: Hub<Connection>;
  readonly #metrics: NodeMetrics;
  readonly #clock: Clock;

  constructor(parts: {
    nodeId: string;
    sockets: Fanout;
    hub: Hub<Connection>;
    metrics: NodeMetrics;
    clock: Clock;
  }) {
    this.#nodeId = parts.nodeId;
    this.#sockets = parts.sockets;
    this.#hub = parts.hub;
    this.#metrics = parts.metrics;
    this.#clock = parts.clock;
  }

  /** Publishes all that is pending in a feed. */
  flush(feed: Feed): void {
    const { pending, room } = feed;
    if (pending.length === 0) return;
    feed.pending = [];
    let run: Run | null = null;
    for (const item of pending) {
      if (!isEnvelope(item)) {
        this.#publishRun(room, run);
        run = null;
        this.#publishPush(room, item);
      } else if (room.members > 0) {
        this.#observeLatency(item);
        run = this.#extend(room, run, item);
      }
    }
    this.#publishRun(room, run);
  }

  #extend(room: Room, run: Run | null, envelope: Envelope): Run {
    // Only the node that has the publisher needs to take a run apart to leave it out.
    if (envelope.hasExcludes && envelope.origin === this.#nodeId)
      return this.#extendFrames(room, run, envelope);
    return this.#add(room, run, envelope.frames, envelope.count, 0);
  }

  #extendFrames(room: Room, run: Run | null, envelope: Envelope): Run {
    let current = run;
    for (let i = 0; i < envelope.count; i++) {
      current = this.#add(room, current, envelope.slice(i, i + 1), 1, envelope.excluded(i));
    }
    return current!;
  }

  #add(room: Room, run: Run | null, frames: Buffer, messages: number, exclude: number): Run {
    if (run !== null && run.exclude === exclude && run.bytes + frames.length <= JOINED_BYTES) {
      run.parts.push(frames);
      run.bytes += frames.length;
      run.messages += messages;
      return run;
    }
    this.#publishRun(room, run);
    return { parts: [frames], bytes: frames.length, messages, exclude };
  }

  #publishRun(room: Room, run: Run | null): void {
    if (run === null) return;
    const frames = run.parts.length === 1 ? run.parts[0]! : Buffer.concat(run.parts, run.bytes);
    const excluded = run.exclude === 0 ? undefined : this.#hub.connection(run.exclude);
    let reached = 0;
    if (room.binaryMembers > 0) reached += this.#publish(room, frames, room.binaryMembers, excluded, false);
    const text = room.textMembers > 0 ? transcode(frames, this.#metrics) : null;
    if (text !== null) reached += this.#publish(room, text, room.textMembers, excluded, true);
    this.#metrics.messages.delivered += reached * run.messages;
  }

  /** Returns how many sockets were reached, members that are catching up on a cursor included. */
  #publish(
    room: Room,
    message: Uint8Array | string,
    members: number,
    excluded: Connection | undefined,
    text: boolean,
  ): number {
    const topic = room.topic(text);
    const leavesOut =
      excluded !== undefined && excluded.readsText === text && excluded.rooms.includes(room.name);
    if (leavesOut) excluded.socket.publishToOthers(topic, message);
    else this.#sockets.publish(topic, message);
    const reached = leavesOut ? members - 1 : members;
    this.#metrics.traffic.messagesSent += reached;
    this.#metrics.traffic.bytesSent += reached * message.length;
    return reached;
  }

  #publishPush(room: Room, frame: PushFrame): void {
    if (room.binaryMembers > 0) this.#sockets.publish(room.binaryTopic, msgpackCodec.encode(frame));
    if (room.textMembers > 0) this.#sockets.publish(room.textTopic, jsonCodec.encode(frame));
  }

  #observeLatency(envelope: Envelope): void {
    const { deliveryLatency } = this.#metrics.messages;
    const histogram = envelope.origin === this.#nodeId ? deliveryLatency.local : deliveryLatency.remote;
    histogram.observe(Math.max(0, this.#clock.wallMs() - envelope.sentAtMs) / 1000);
  }
}

function isEnvelope(item: Envelope | PushFrame): item is Envelope {
  return !Array.isArray(item);
}
