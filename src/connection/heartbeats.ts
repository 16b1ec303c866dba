import type { Scheduler, Timer } from '../util/scheduler.ts';

/** What the heartbeat needs from a connection. The heartbeat owns the three numbers. */
export interface Beating {
  /** The slot that holds it, and its index there; -1 before `add` and after `remove`. */
  heartbeatSlot: number;
  heartbeatIndex: number;
  /** The beat at which the peer was last heard. */
  heardAtBeat: number;
  ping(): void;
  /** The peer was silent for two intervals. Called again at each further interval until it is removed. */
  silent(): void;
}

export interface HeartbeatOptions {
  /** Milliseconds between two pings of one connection. */
  readonly intervalMs: number;
  readonly scheduler: Scheduler;
  /** Called with each round trip, in milliseconds. */
  readonly onRoundTrip: (milliseconds: number) => void;
}

/** Connections are spread over this many slots and one slot is pinged per beat, so that pings never burst. */
const SLOTS = 64;

/**
 * Heartbeats of all connections of a node from one timer. An interval is divided into beats; at each beat the
 * connections of one slot are checked and pinged. A connection costs three small integers and one array
 * element.
 */
export class Heartbeats<C extends Beating> {
  readonly #slots: C[][] = Array.from({ length: SLOTS }, () => []);
  /**
   * When each slot was last pinged: all of its pings leave at once, so a round trip needs no field per
   * connection.
   */
  readonly #pingedAtMs = new Float64Array(SLOTS);
  readonly #options: HeartbeatOptions;
  #beat = 0;
  #nextSlot = 0;
  #timer: Timer | null = null;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= this.#options.scheduler.every(this.#options.intervalMs / SLOTS, () => this.beat());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  add(connection: C): void {
    const slot = this.#slots[this.#nextSlot]!;
    connection.heartbeatSlot = this.#nextSlot;
    connection.heartbeatIndex = slot.push(connection) - 1;
    connection.heardAtBeat = this.#beat;
    this.#nextSlot = (this.#nextSlot + 1) % SLOTS;
  }

  /** Harmless for a connection that is not here. */
  remove(connection: C): void {
    if (connection.heartbeatSlot === -1) return;
    const slot = this.#slots[connection.heartbeatSlot]!;
    const last = slot.pop()!;
    if (last !== connection) {
      slot[connection.heartbeatIndex] = last;
      last.heartbeatIndex = connection.heartbeatIndex;
    }
    connection.heartbeatSlot = -1;
  }

  /** The peer sent something. */
  heard(connection: C): void {
    connection.heardAtBeat = this.#beat;
  }

  /** The peer answered a ping. */
  ponged(connection: C): void {
    connection.heardAtBeat = this.#beat;
    if (connection.heartbeatSlot === -1) return;
    const pingedAtMs = this.#pingedAtMs[connection.heartbeatSlot]!;
    if (pingedAtMs > 0) this.#options.onRoundTrip(this.#options.scheduler.nowMs() - pingedAtMs);
  }

  /** One beat: called by the timer, and directly by tests. */
  beat(): void {
    const slot = this.#beat % SLOTS;
    this.#pingedAtMs[slot] = this.#options.scheduler.nowMs();
    // A copy: ending a silent connection removes it, and maybe others, from the slot during the loop.
    for (const connection of [...this.#slots[slot]!]) {
      if (connection.heartbeatSlot === -1) continue;
      if (this.#beat - connection.heardAtBeat >= 2 * SLOTS) connection.silent();
      else connection.ping();
    }
    this.#beat++;
  }
}
