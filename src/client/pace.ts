/** How fast a connection may send, by what the node said in `hello`: whoever keeps to it is not refused. */
import type { HelloInfo } from '../protocol/frames.ts';

/** Of a burst. The rest is for what arrives closer together than it was sent. */
const BURST_SHARE = 0.8;

export class Pace {
  readonly #commands: Meter;
  readonly #bytes: Meter;

  constructor({ limits, maxPayload }: Pick<HelloInfo, 'limits' | 'maxPayload'>) {
    const { commandsPerSecond = 0, commandBurst = 0, bytesPerSecond = 0 } = limits ?? {};
    this.#commands = new Meter(commandsPerSecond, commandBurst);
    // Nodes accept the largest message after a pause.
    this.#bytes = new Meter(bytesPerSecond, maxPayload);
  }

  /** A command was sent. */
  sent(bytes: number, nowMs: number): void {
    this.#commands.sent(1, nowMs);
    this.#bytes.sent(bytes, nowMs);
  }

  /** How long to wait before the next one; 0 or less: not at all. */
  waitMs(bytes: number, nowMs: number): number {
    return Math.max(this.#commands.waitMs(1, nowMs), this.#bytes.waitMs(bytes, nowMs));
  }
}

/** What was sent, as the moment when all of it is paid for at the steady rate. */
class Meter {
  readonly #msEach: number;
  readonly #burstMs: number;
  #paidUntilMs = 0;

  /** `perSecond` 0: no limit. */
  constructor(perSecond: number, burst: number) {
    this.#msEach = perSecond && 1000 / perSecond;
    this.#burstMs = burst * this.#msEach * BURST_SHARE;
  }

  sent(units: number, nowMs: number): void {
    this.#paidUntilMs = Math.max(this.#paidUntilMs, nowMs) + units * this.#msEach;
  }

  /** What is larger than a burst waits until all before it is paid for. */
  waitMs(units: number, nowMs: number): number {
    return this.#paidUntilMs - nowMs + Math.min(0, units * this.#msEach - this.#burstMs);
  }
}
