import type { LimitLabel } from '../metrics/labels.ts';
import type { Clock } from '../util/clock.ts';
import { type OverLimit, overLimit } from './over-limit.ts';
import {
  IDLE_WINDOW_MS,
  JOIN_EXTRA_COMMANDS,
  type SendingLimits,
  type SendingSettings,
  USER_CHARGE_BYTES,
  USER_CHARGE_COMMANDS,
} from './sending-limits.ts';

/** The message or command is within the limits. */
export const WITHIN = 0;
/** Close the connection: answering it, or reading on, would cost too much. */
export const FLOOD = -1;

/** A refused message counts as one refused command, plus one for each this many bytes. */
const BYTES_PER_REFUSAL = 1024;

/** Replies take a round trip to Redis, or the turns of the reads before it. */
const PENDING_RETRY_MS = 100;

/** The limits that an allowance keeps. */
export type SendingLimit = Extract<
  LimitLabel,
  | 'limits.bytesPerSecond'
  | 'limits.userBytesPerSecond'
  | 'limits.commandsPerSecond'
  | 'limits.userCommandsPerSecond'
  | 'limits.addressCommandsPerSecond'
  | 'limits.joinsPerSecond'
  | 'limits.pendingRequests'
>;

const SAYS: Readonly<Record<SendingLimit, string>> = {
  'limits.bytesPerSecond': 'too many bytes a second',
  'limits.userBytesPerSecond': 'too many bytes a second from all connections of this user',
  'limits.commandsPerSecond': 'too many commands a second',
  'limits.userCommandsPerSecond': 'too many commands a second from all connections of this user',
  'limits.addressCommandsPerSecond': 'too many commands a second from all connections of this address',
  'limits.joinsPerSecond': 'too many joins a second',
  'limits.pendingRequests': 'too many commands wait for their reply',
};

/** How much of its limits one connection has used. Every connection has one, so it is only a few numbers. */
export class Allowance {
  #turn = 0;
  #turnBytes = 0;
  #idleWindow = 0;
  #idleFrames = 0;
  #commandsPaidUntilMs = 0;
  #bytesPaidUntilMs = 0;
  /** Bytes not charged to the user yet. */
  #userBytes = 0;
  /** Commands not charged to the user, or to the address, yet. */
  #sharedCommands = 0;
  /** Who is charged for commands while there is no user; null: nobody is. */
  readonly #address: string | null;
  #joinsPaidUntilMs = 0;
  /** Idempotency keys that may still come without being paid for. */
  #keysPaid = 0;
  /** Null for most connections: nothing of theirs is ever refused, and they send no keys without a user. */
  #rare: { refusalsPaidUntilMs: number; keysPaidUntilMs: number } | null = null;
  #limit: SendingLimit = 'limits.bytesPerSecond';

  /** `address`: the key of the address whose limits hold; null: they do not apply. */
  constructor(address: string | null = null) {
    this.#address = address;
  }

  /** Bytes of its messages in this turn. */
  get turnBytes(): number {
    return this.#turnBytes;
  }

  /** The error for what was refused last. `retryAfterMs` null: for a flood. */
  refusal({ settings }: SendingLimits, retryAfterMs: number | null): OverLimit {
    const name = this.#limit.slice('limits.'.length) as keyof SendingSettings;
    return overLimit('rate_limited', SAYS[this.#limit], this.#limit, settings[name], retryAfterMs);
  }

  /**
   * A WebSocket message of a connection, and of its user if known. Returns `WITHIN`, `FLOOD`, or, for a
   * message to refuse, the milliseconds after which it would pass.
   */
  message(limits: SendingLimits, user: string | null, bytes: number, turn: number, nowMs: number): number {
    if (turn !== this.#turn) {
      this.#turn = turn;
      this.#turnBytes = 0;
    }
    this.#turnBytes += bytes;
    if (this.#turnBytes > limits.turnBytes) {
      this.#limit = 'limits.bytesPerSecond';
      return FLOOD;
    }
    const paidUntilMs = limits.bytes.take(this.#bytesPaidUntilMs, nowMs, bytes);
    let retryAfterMs = 0;
    if (paidUntilMs === -1) {
      this.#limit = 'limits.bytesPerSecond';
      retryAfterMs = limits.bytes.retryAfterMs(this.#bytesPaidUntilMs, nowMs, bytes);
    } else if (user !== null) retryAfterMs = this.#chargeUser(limits, user, bytes, nowMs);
    if (retryAfterMs > 0) return this.#refused(limits, bytes / BYTES_PER_REFUSAL, nowMs, retryAfterMs);
    this.#bytesPaidUntilMs = paidUntilMs;
    return WITHIN;
  }

  /**
   * A command of that message, while so many others wait for their reply. Returns `WITHIN`, `FLOOD`, or the
   * milliseconds after which it would pass.
   */
  command(limits: SendingLimits, user: string | null, waiting: number, nowMs: number): number {
    if (waiting >= limits.pendingRequests) {
      this.#limit = 'limits.pendingRequests';
      return this.#refused(limits, 1, nowMs, PENDING_RETRY_MS);
    }
    const paidUntilMs = limits.commands.take(this.#commandsPaidUntilMs, nowMs);
    if (paidUntilMs === -1) {
      this.#limit = 'limits.commandsPerSecond';
      const retryAfterMs = limits.commands.retryAfterMs(this.#commandsPaidUntilMs, nowMs);
      return this.#refused(limits, 1, nowMs, retryAfterMs);
    }
    if (++this.#sharedCommands >= USER_CHARGE_COMMANDS) {
      const verdict = this.#chargeCommands(limits, user, nowMs);
      // A refused command is charged to no one.
      this.#sharedCommands = verdict === WITHIN ? 0 : USER_CHARGE_COMMANDS - 1;
      if (verdict !== WITHIN) return verdict;
    }
    this.#commandsPaidUntilMs = paidUntilMs;
    return WITHIN;
  }

  #chargeCommands(limits: SendingLimits, user: string | null, nowMs: number): number {
    if (user === null) return this.#chargeAddress(limits, USER_CHARGE_COMMANDS, nowMs);
    const retryAfterMs = limits.userCommands.charge(user, USER_CHARGE_COMMANDS, nowMs);
    if (retryAfterMs === 0) return WITHIN;
    this.#limit = 'limits.userCommandsPerSecond';
    // Counted for the user too: a new connection has a budget of its own.
    if (limits.userRefusals.charge(user, 1, nowMs) > 0) return FLOOD;
    return this.#refused(limits, 1, nowMs, retryAfterMs);
  }

  /** Its refusals are counted for the address too, as those of a user are. */
  #chargeAddress(limits: SendingLimits, units: number, nowMs: number): number {
    const address = this.#address;
    if (address === null) return WITHIN;
    const retryAfterMs = limits.addressCommands.charge(address, units, nowMs);
    if (retryAfterMs === 0) return WITHIN;
    this.#limit = 'limits.addressCommandsPerSecond';
    if (limits.addressRefusals.charge(address, 1, nowMs) > 0) return FLOOD;
    return this.#refused(limits, 1, nowMs, retryAfterMs);
  }

  /** A join, which costs more than other commands. Returns as `command` does. */
  join(limits: SendingLimits, user: string | null, nowMs: number): number {
    const paidUntilMs = limits.joins.take(this.#joinsPaidUntilMs, nowMs);
    if (paidUntilMs === -1) {
      this.#limit = 'limits.joinsPerSecond';
      const retryAfterMs = limits.joins.retryAfterMs(this.#joinsPaidUntilMs, nowMs);
      return this.#refused(limits, 1, nowMs, retryAfterMs);
    }
    const verdict = user === null ? this.#chargeAddress(limits, JOIN_EXTRA_COMMANDS, nowMs) : WITHIN;
    if (verdict === WITHIN) this.#joinsPaidUntilMs = paidUntilMs;
    return verdict;
  }

  /**
   * An idempotency key, which is remembered for a while. Returns 0, or the milliseconds after which it would pass. Keys
   * are paid for some at a time, in advance, so that few publishes take a look-up.
   */
  key(limits: SendingLimits, user: string | null, clock: Pick<Clock, 'nowMs'>): number {
    if (this.#keysPaid > 0) {
      this.#keysPaid--;
      return 0;
    }
    const { keysAtOnce } = limits;
    if (keysAtOnce === 0) return 0;
    const nowMs = clock.nowMs();
    const retryAfterMs =
      user === null ? this.#chargeKeys(limits, nowMs) : limits.userKeys.charge(user, keysAtOnce, nowMs);
    if (retryAfterMs === 0) this.#keysPaid = keysAtOnce - 1;
    return retryAfterMs;
  }

  #chargeKeys({ keys, keysAtOnce }: SendingLimits, nowMs: number): number {
    const rare = this.#rarely();
    const paidUntilMs = keys.take(rare.keysPaidUntilMs, nowMs, keysAtOnce);
    if (paidUntilMs === -1) return keys.retryAfterMs(rare.keysPaidUntilMs, nowMs, keysAtOnce);
    rare.keysPaidUntilMs = paidUntilMs;
    return 0;
  }

  /** More of its messages wait than its rate of commands will ever let through. Returns true. */
  exceedsCommands(): true {
    this.#limit = 'limits.commandsPerSecond';
    return true;
  }

  /** Whether its user, or its address, sent so much that the next commands of the connection would close it. */
  isFlooding(limits: SendingLimits, user: string | null, nowMs: number): boolean {
    const payer = user ?? this.#address;
    if (payer === null) return false;
    const [commands, refusals] =
      user === null
        ? [limits.addressCommands, limits.addressRefusals]
        : [limits.userCommands, limits.userRefusals];
    if (commands.waitMs(payer, USER_CHARGE_COMMANDS, nowMs) === 0) return false;
    if (refusals.waitMs(payer, 1, nowMs) === 0) return false;
    this.#limit = user === null ? 'limits.addressCommandsPerSecond' : 'limits.userCommandsPerSecond';
    return true;
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
    if (retryAfterMs > 0) this.#limit = 'limits.userBytesPerSecond';
    // A refused message is charged to no one.
    this.#userBytes = retryAfterMs > 0 ? this.#userBytes - bytes : 0;
    return retryAfterMs;
  }

  #refused(limits: SendingLimits, weight: number, nowMs: number, verdict: number): number {
    const rare = this.#rarely();
    const paidUntilMs = limits.refusals.take(rare.refusalsPaidUntilMs, nowMs, weight);
    if (paidUntilMs === -1) return FLOOD;
    rare.refusalsPaidUntilMs = paidUntilMs;
    return verdict;
  }

  #rarely(): { refusalsPaidUntilMs: number; keysPaidUntilMs: number } {
    this.#rare ??= { refusalsPaidUntilMs: 0, keysPaidUntilMs: 0 };
    return this.#rare;
  }
}
