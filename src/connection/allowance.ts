import { IDLE_WINDOW_MS, type SendingLimits, USER_CHARGE_BYTES } from './sending-limits.ts';

/** What was sent is within the limits. */
export const WITHIN = 0;
/** The connection is to be closed: it would cost too much to answer, or to read on. */
export const FLOOD = -1;

/** A refused message weighs as much as one refused command, and one more for each of so many bytes. */
const BYTES_PER_REFUSAL = 1024;

/** What one connection has sent of what it may. There is one for every connection, so it is a handful of numbers. */
export class Allowance {
  #turn = 0;
  #turnCommands = 0;
  #turnBytes = 0;
  #idleWindow = 0;
  #idleFrames = 0;
  #commandsPaidUntilMs = 0;
  #bytesPaidUntilMs = 0;
  /** Bytes that the user has yet to be charged for. */
  #userBytes = 0;
  /** Most connections are never refused anything. */
  #refusals: { paidUntilMs: number } | null = null;

  /**
   * A WebSocket message of a connection, and of its user where one is known. `WITHIN`, `FLOOD`, or for a message that is to be
   * refused the milliseconds after which it would pass.
   */
  message(limits: SendingLimits, user: string | null, bytes: number, turn: number, nowMs: number): number {
    if (turn !== this.#turn) {
      this.#turn = turn;
      this.#turnCommands = 0;
      this.#turnBytes = 0;
    }
    this.#turnBytes += bytes;
    if (this.#turnBytes > limits.turnBytes) return FLOOD;
    const paidUntilMs = limits.bytes.take(this.#bytesPaidUntilMs, nowMs, bytes);
    let retryAfterMs = 0;
    if (paidUntilMs === -1) retryAfterMs = limits.bytes.retryAfterMs(this.#bytesPaidUntilMs, nowMs, bytes);
    else if (user !== null) retryAfterMs = this.#chargeUser(limits, user, bytes, nowMs);
    if (retryAfterMs > 0) return this.#refused(limits, bytes / BYTES_PER_REFUSAL, nowMs, retryAfterMs);
    this.#bytesPaidUntilMs = paidUntilMs;
    return WITHIN;
  }

  /** A command of that message. `WITHIN`, `FLOOD`, or the milliseconds after which it would pass. */
  command(limits: SendingLimits, nowMs: number): number {
    if (++this.#turnCommands > limits.turnCommands) return FLOOD;
    const paidUntilMs = limits.commands.take(this.#commandsPaidUntilMs, nowMs);
    if (paidUntilMs === -1) {
      const retryAfterMs = limits.commands.retryAfterMs(this.#commandsPaidUntilMs, nowMs);
      return this.#refused(limits, 1, nowMs, retryAfterMs);
    }
    this.#commandsPaidUntilMs = paidUntilMs;
    return WITHIN;
  }

  /** A command of a message that is refused as a whole: whether it may be answered. Else `FLOOD`. */
  refusedCommand(limits: SendingLimits, nowMs: number): number {
    return this.#refused(limits, 1, nowMs, WITHIN);
  }

  /** A ping, a pong, or a message without a command. `WITHIN` or `FLOOD`. */
  idleFrame(limits: SendingLimits, nowMs: number): number {
    const window = Math.floor(nowMs / IDLE_WINDOW_MS);
    if (window !== this.#idleWindow) {
      this.#idleWindow = window;
      this.#idleFrames = 0;
    }
    return ++this.#idleFrames > limits.idleFrames ? FLOOD : WITHIN;
  }

  #chargeUser(limits: SendingLimits, user: string, bytes: number, nowMs: number): number {
    this.#userBytes += bytes;
    if (this.#userBytes < USER_CHARGE_BYTES) return 0;
    const retryAfterMs = limits.userBytes.charge(user, this.#userBytes, nowMs);
    // A message that is refused is not charged to anyone.
    this.#userBytes = retryAfterMs > 0 ? this.#userBytes - bytes : 0;
    return retryAfterMs;
  }

  #refused(limits: SendingLimits, weight: number, nowMs: number, verdict: number): number {
    this.#refusals ??= { paidUntilMs: 0 };
    const paidUntilMs = limits.refusals.take(this.#refusals.paidUntilMs, nowMs, weight);
    if (paidUntilMs === -1) return FLOOD;
    this.#refusals.paidUntilMs = paidUntilMs;
    return verdict;
  }
}
