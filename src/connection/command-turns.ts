import type { EndOfTurn } from '../util/end-of-turn.ts';
import type { Scheduler } from '../util/scheduler.ts';

/**
 * What a node does for the commands of all its connections in one turn of the event loop, in units of at most 10 us:
 * a ping and most others are one. So a turn takes at most 10 ms, however much arrives at once.
 */
export const UNITS_A_TURN = 1000;
/**
 * After so long the rest of a turn's commands wait, whatever units are left: a command takes many times its unit while
 * its code is new, memory is collected, or others use the core.
 */
export const TURN_MS = 5;
/** Commands between two looks at the clock. */
export const LOOK_EVERY = 16;
/**
 * A connection that waits gets so much before it is the turn of the next one. Little, so that one with a single command
 * waits for a turn even behind a hundred that flood.
 */
const UNITS_A_ROUND = 4;

/** What a command takes beyond the unit of any other. */
export const EXTRA_UNITS = {
  /** A hundred in a turn: what a client that comes back asks for at once by default. */
  join: 9,
  /** Building, storing and delivering a message. */
  publish: 1,
  /** A token, whose signature is checked. */
  auth: 9,
  /** A read of the store, that waits for its turn among reads. */
  read: 1,
} as const;
/** A unit for each 8 KiB of a message, besides its commands. */
const UNIT_SHIFT = 13;

/**
 * CPU that reading one socket may take in one turn, after as much time, while what it sends waits or asks for nothing.
 * uWebSockets.js reads on, and serves nobody else, for as long as the socket fills its buffer; and a message may have any
 * number of empty fragments, which take time and are not told.
 */
export const READ_CPU_MS = 10;
/**
 * So much more for each message beyond these: a burst within its limits takes that long on a node that has just started, whose code is
 * new, and whose compiler counts too. How many may wait is limited by itself.
 */
const NEW_CODE_CPU_MS = 0.016;
const FEW_READS = 100;

/** What waits on a node should stay below this. Keeping it takes more than carrying it out: it outlives young garbage. */
const HELD_BYTES = 40 * 1_048_576;
/** A connection may have this share of what is left of that waiting. */
const SHARE_SHIFT = 3;

/** The part of a connection that the turns need. */
export interface TurnTaker {
  /**
   * Carries out commands that wait, for about so many units. Returns whether more of them wait for another turn.
   */
  carryOn(units: number): boolean;
}

/**
 * Spreads commands over turns, so that others are served in between however many connections send at once: a budget of one
 * connection does not bound what all of them send. A connection whose commands wait waits as a whole, so that their order holds, and
 * those that wait go around. A connection costs nothing here while the node keeps up.
 */
export class CommandTurns {
  readonly #endOfTurn: Pick<EndOfTurn, 'request'>;
  /** In the order of their turns. */
  readonly #waiting = new Set<TurnTaker>();
  /** Units left in this turn. Nothing new begins at 0 or less; read and written for every command. */
  left = UNITS_A_TURN;
  /** When its first command began; negative: none has. */
  #beganAtMs = -1;
  readonly #scheduler: Pick<Scheduler, 'cpuMs'>;
  /** Whose socket is being read, when to look at the CPU that takes, and what it was at the first look. */
  #reader: TurnTaker | null = null;
  #readLookMs = 0;
  #readFromCpuMs: number | null = null;
  #reads = 0;

  #heldBytes = 0;
  #heldNow = 0;

  /** `scheduler`: for the CPU that is taken. */
  constructor(endOfTurn: Pick<EndOfTurn, 'request'>, scheduler: Pick<Scheduler, 'cpuMs'> = {}) {
    this.#endOfTurn = endOfTurn;
    this.#scheduler = scheduler;
  }

  /** Connections whose commands wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * What one connection may have waiting: a share of what is free, so that few may have much, and many together never
   * fill the memory.
   */
  get share(): number {
    return (HELD_BYTES - this.#heldBytes) >> SHARE_SHIFT;
  }

  /** What waits of all connections. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** What of it came in this turn, whatever became of it. */
  get heldNow(): number {
    return this.#heldNow;
  }

  /** So many bytes of a connection wait from now on. */
  hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#heldNow += bytes;
  }

  /** So many bytes that waited were carried out, or will not be. */
  release(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  /** A message of so many bytes is read. */
  spendBytes(bytes: number): void {
    this.left -= bytes >> UNIT_SHIFT;
  }

  /** It is so late, and a command may follow: none begins in this turn if that took too long. */
  look(nowMs: number): void {
    if (this.#beganAtMs < 0) this.#beganAtMs = nowMs;
    else if (this.left > 0 && nowMs - this.#beganAtMs >= TURN_MS) this.left = 0;
  }

  /**
   * A message of this connection was read, and waits or asks for nothing. Returns whether reading it, with those before it
   * in this turn, has taken so long that it is to be closed. Time alone closes nobody: others may use the core.
   */
  readsTooLong(connection: TurnTaker, nowMs: number): boolean {
    if (this.#reader !== connection) {
      this.#reader = connection;
      // Pings and pongs ask for no turn: without its end, what one client sends in an hour would count as one reading.
      this.#endOfTurn.request();
      this.#readFromCpuMs = null;
      this.#reads = 0;
      this.#readLookMs = nowMs + READ_CPU_MS;
    }
    this.#reads++;
    if (nowMs < this.#readLookMs) return false;
    this.#readLookMs = nowMs + READ_CPU_MS;
    const cpuMs = this.#scheduler.cpuMs?.() ?? 0;
    this.#readFromCpuMs ??= cpuMs;
    const extraMs = NEW_CODE_CPU_MS * Math.max(0, this.#reads - FEW_READS);
    return cpuMs - this.#readFromCpuMs >= READ_CPU_MS + extraMs;
  }

  /** This connection has commands for a later turn. Harmless when it waits already. */
  wait(connection: TurnTaker): void {
    this.#waiting.add(connection);
    this.#endOfTurn.request();
  }

  /** Called when the output of a turn has left: those that wait are served first in the next one. */
  nextTurn(): void {
    this.left = UNITS_A_TURN;
    this.#beganAtMs = -1;
    this.#reader = null;
    this.#heldNow = 0;
    const waiting = this.#waiting;
    if (waiting.size === 0) return;
    // Goes on with those that are added meanwhile, at the end.
    for (const connection of waiting) {
      if (this.left <= 0) break;
      waiting.delete(connection);
      if (connection.carryOn(UNITS_A_ROUND)) waiting.add(connection);
    }
    if (waiting.size > 0) this.#endOfTurn.request();
  }
}
