import { IDLE_WINDOW_MS, type SendingLimits, USER_CHARGE_BYTES } from './sending-limits.ts';

/** The message or command is within the limits. */
export const WITHIN = 0;
/** Close the connection: answering it, or reading on, would cost too much. */
export const FLOOD = -1;

/** A refused message counts as one refused command, plus one for each this many bytes. */
const BYTES_PER_REFUSAL = 1024;

/** How much of its limits one connection has used. Every connection has one, so it is only a few numbers. */
export class Allowance {
  #turn = 0;
  #turnCommands = 0;
  #turnBytes = 0;
  #idleWindow = 0;
  #idleFrames = 0;
  #commandsPaidUntilMs = 0;
  #bytesPaidUntilMs = 0;
  /** Bytes not charged to the user yet. */
  #userBytes = 0;
  /** Null for most connections: nothing of theirs is ever refused. */
  #refusals: { paidUntilMs: number } | null = null;

  /**
   * A WebSocket message of a connection, and of its user if known. Returns `WITHIN`, `FLOOD`, or, for a
   * message to refuse, the milliseconds after which it would pass.
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

  /** A command of that message. Returns `WITHIN`, `FLOOD`, or the milliseconds after which it would pass. */
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

  /** A command of a message refused as a whole: `WITHIN` if it may be answered, else `FLOOD`. */
  refusedCommand(limits: SendingLimits, nowMs: number): number {
    return this.#refused(limits, 1, nowMs, WITHIN);
  }

  /** A ping, a pong, or a message without a command. Returns `WITHIN` or `FLOOD`. */
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
    // A refused message is charged to no one.
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
