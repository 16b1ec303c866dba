import { nowUs } from './clock.ts';
import type { LoadConnection } from './connection.ts';
import type { Dialect } from './dialect.ts';
import { maskedFrame } from './frames.ts';
import { createPayload, stampPayload } from './payload.ts';

/**
 * `closed`: so many publishes are in flight, and one that is seen by who watches for it (its publisher, if
 * that is a member) makes room for the next. It measures capacity; its latencies are those of a system that
 * is kept exactly that busy. `open`: so many publishes a second whatever comes back, with latency from the
 * time at which each should have been sent, so that a server that stalls does not get the time of the stall
 * for free. With `rampSeconds` the rate rises from 0 in a straight line.
 */
export type LoadPlan =
  | { readonly kind: 'closed'; readonly inFlight: number }
  | { readonly kind: 'open'; readonly perSecond: number; readonly rampSeconds?: number };

export interface PublisherPlan {
  readonly roomName: string;
  readonly room: number;
  /** Index within the room. */
  readonly index: number;
  readonly payloadBytes: number;
  /** Other publishers use its connection too. */
  readonly isSharing: boolean;
}

/** A publisher, member or not: its frame is built once, and copied with a new stamp for each publish. */
export class Publisher {
  readonly room: number;
  published = 0;
  readonly #connection: LoadConnection;
  readonly #frame: Buffer;
  readonly #payloadAt: number;
  readonly #isSharing: boolean;
  #counter = 0;
  /** Intended times of what to send at the end of the chunk. */
  #due: number[] = [];

  constructor(connection: LoadConnection, dialect: Dialect, plan: PublisherPlan) {
    this.room = plan.room;
    this.#connection = connection;
    const payload = createPayload(plan.payloadBytes, plan.room, plan.index);
    const template = dialect.publish(plan.roomName, payload);
    const { bytes, bodyAt } = maskedFrame(template.opcode, template.body);
    this.#frame = bytes;
    this.#payloadAt = bodyAt + template.payloadAt;
    this.#isSharing = plan.isSharing;
  }

  /** Adds one message for the next `flush`. Returns whether it is the first. */
  add(sentUs: number): boolean {
    return this.#due.push(sentUs) === 1;
  }

  hold(): void {
    if (this.#isSharing) this.#connection.cork();
  }

  release(): void {
    if (this.#isSharing) this.#connection.uncork();
  }

  /** Sends the added messages in one write, like a client that publishes several at once. */
  flush(): void {
    const due = this.#due;
    this.#due = [];
    const length = this.#frame.length;
    const bytes = Buffer.allocUnsafe(length * due.length);
    due.forEach((sentUs, i) => {
      bytes.set(this.#frame, i * length);
      stampPayload(bytes, i * length + this.#payloadAt, ++this.#counter, sentUs);
    });
    this.published += due.length;
    this.#connection.write(bytes);
  }
}

/** Publishes in turn from all publishers of this process, by a plan. Without publishers it does nothing. */
export class Load {
  readonly #publishers: readonly Publisher[];
  readonly #plan: LoadPlan;
  #next = 0;
  #waiting: Publisher[] = [];
  #isRunning = false;
  #inFlight = 0;
  #idle: () => void = ignore;
  #startUs = 0;
  #dueUs = 0;
  #published = 0;

  constructor(publishers: readonly Publisher[], plan: LoadPlan) {
    this.#publishers = publishers;
    this.#plan = plan;
  }

  start(): void {
    if (this.#publishers.length === 0) return;
    this.#isRunning = true;
    if (this.#plan.kind === 'open') {
      this.#startUs = this.#dueUs = nowUs();
      this.#published = 0;
      return this.#tick(this.#plan.perSecond, (this.#plan.rampSeconds ?? 0) * 1e6);
    }
    for (let i = 0; i < this.#plan.inFlight; i++) this.#publish(nowUs());
    this.chunkRead();
  }

  /**
   * Stops publishing. Resolves when nothing is in flight, or nothing came back for `patienceMs`: the rest may
   * be lost.
   */
  stop(patienceMs: number): Promise<void> {
    this.#isRunning = false;
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      let before = this.#inFlight;
      const timer = setInterval(() => {
        if (this.#inFlight === before) this.#idle();
        before = this.#inFlight;
      }, patienceMs);
      this.#idle = () => {
        clearInterval(timer);
        this.#idle = ignore;
        resolve();
      };
    });
  }

  /** The watching connection saw a message. */
  returned(): void {
    this.#inFlight--;
    if (this.#isRunning && this.#plan.kind === 'closed') this.#publish(nowUs());
    else if (this.#inFlight === 0 && !this.#isRunning) this.#idle();
  }

  /** Sends what the chunk made room for. */
  chunkRead(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    // Publishers that share a connection send in one write.
    for (const publisher of waiting) publisher.hold();
    for (const publisher of waiting) publisher.flush();
    for (const publisher of waiting) publisher.release();
  }

  #publish(sentUs: number): void {
    const publisher = this.#publishers[this.#next]!;
    this.#next = (this.#next + 1) % this.#publishers.length;
    this.#inFlight++;
    if (publisher.add(sentUs)) this.#waiting.push(publisher);
  }

  /**
   * Timers are a millisecond coarse, which would be added to every latency. At low rates the driver spins the
   * event loop for the last stretch; at high rates it sends what is due every millisecond.
   */
  #tick(perSecond: number, rampUs: number): void {
    if (!this.#isRunning) return;
    const now = nowUs();
    while (this.#dueUs <= now) {
      this.#publish(this.#dueUs);
      this.#dueUs = this.#startUs + dueAfterUs(++this.#published, perSecond, rampUs);
    }
    this.chunkRead();
    const waitMs = (this.#dueUs - now) / 1000;
    if (waitMs > 2) setTimeout(() => this.#tick(perSecond, rampUs), Math.floor(waitMs - 1));
    else if (1e6 / perSecond >= 5000) setImmediate(() => this.#tick(perSecond, rampUs));
    else setTimeout(() => this.#tick(perSecond, rampUs), 1);
  }
}

/**
 * When the publish with this number is due, from 0 on: while the rate rises, the count sent is the area under
 * it.
 */
function dueAfterUs(number: number, perSecond: number, rampUs: number): number {
  const inRamp = (perSecond * rampUs) / 2e6;
  if (number >= inRamp) return rampUs + ((number - inRamp) * 1e6) / perSecond;
  return Math.sqrt((2 * number * rampUs * 1e6) / perSecond);
}

function ignore(): void {
  // Nothing waits.
}
