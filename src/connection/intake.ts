import type { ServerCodec } from '../protocol/codec.ts';
import { CLOSE } from '../protocol/codes.ts';
import type { CommandReader, DecodedCommand, RejectedCommand, Undecodable } from '../protocol/frames.ts';
import { type Allowance, FLOOD, WITHIN } from './allowance.ts';
import { LOOK_EVERY, type TurnTaker } from './command-turns.ts';
import type { ConnectionContext } from './context.ts';
import { HeldCommands, type HeldMessage } from './held-commands.ts';
import { closeIfTooMuch, closeLongRead } from './held-limits.ts';
import type { OverLimit } from './over-limit.ts';
import { type Commander, runCommand } from './run-command.ts';
import { closeFlood, type Offender, refuseCommand } from './sanctions.ts';

/** The connection whose intake it is. */
export interface Receiver<C> extends Offender, Commander<C> {
  readonly isOpen: boolean;
  readonly user: string | null;
  readonly readsText: boolean;
  readonly codec: ServerCodec;
  readonly context: ConnectionContext<C>;
  /** Its commands that wait for their reply. */
  readonly waiting: number;
  readonly hasExpired: boolean;
  /** Its token has expired: tells the client, and closes. */
  expire(): void;
  /** Its message is too large: closes. */
  tooLarge(): void;
}

/** Protocol violations in a row before the connection is closed. */
const MAX_VIOLATIONS = 100;

/**
 * What a client sends, from messages to commands that are carried out: in order, within its limits, at once or in a later
 * turn. Nothing is decoded after the connection was closed: what a peer sends after that costs only its bytes.
 */
export class Intake<C extends Receiver<C>> implements TurnTaker {
  readonly #connection: C;
  readonly #allowance: Allowance;
  #violations = 0;
  /** What arrived while a token was being checked, or waits for its turn; else null. */
  #held: HeldCommands | null = null;
  #isChecking = false;

  constructor(connection: C, allowance: Allowance) {
    this.#connection = connection;
    this.#allowance = allowance;
  }

  /** Takes one WebSocket message. The caller may reuse the bytes once this returns. */
  receive(message: Uint8Array, isBinary: boolean): void {
    const connection = this.#connection;
    if (!connection.isOpen) return;
    const { readsText, user, codec } = connection;
    const { clock, limits, maxBytesBeforeAuth, metrics, turn, turns } = connection.context;
    metrics.traffic.messagesReceived++;
    metrics.traffic.bytesReceived += message.length;
    if (message.length > maxBytesBeforeAuth && connection.awaitsAuth) return connection.tooLarge();
    // Without this, the turn's number would stay the same while only this socket is read.
    turn.request();
    const nowMs = clock.nowMs();
    const verdict = this.#allowance.message(limits, user, message.length, turn.number, nowMs);
    if (verdict === FLOOD) return closeFlood(connection, this.#allowance, 'bytes');
    // Waits for no turn, since it asks for nothing.
    if (message.length === 0 && isBinary !== readsText) return this.idleFrame('messages', nowMs);
    let refusal: OverLimit | null = null;
    if (verdict !== WITHIN) {
      metrics.traffic.messagesRateLimited++;
      refusal = this.#allowance.refusal(limits, verdict);
    }
    turns.look(nowMs);
    turns.spendBytes(message.length);
    if (isBinary === readsText) this.#begin(onlyOne(codec.otherKind), refusal, true, nowMs);
    else if (this.#mustWait) this.#keep(message, refusal, nowMs);
    else this.#begin(codec.readCommands(message), refusal, true, nowMs);
  }

  /** Carries out commands that came in another way than as a message. */
  give(commands: CommandReader): void {
    const { turn, turns, clock } = this.#connection.context;
    turn.request();
    const nowMs = clock.nowMs();
    turns.look(nowMs);
    this.#begin(commands, null, false, nowMs);
  }

  /** Nothing begins now: its commands wait, or the turn is over. */
  get #mustWait(): boolean {
    return this.#held !== null || this.#connection.context.turns.left <= 0;
  }

  /** Carries out what the turn has room for, and keeps the rest. */
  #begin(commands: CommandReader, refusal: OverLimit | null, isWhole: boolean, nowMs: number): void {
    if (this.#mustWait) this.#hold(commands, refusal, isWhole);
    else if (!this.#carryOut(commands, refusal, isWhole, 0, nowMs)) this.#hold(commands, refusal, false);
  }

  /** A ping, a pong, or a message without a command. */
  idleFrame(kind: 'messages' | 'control_frames', nowMs: number): void {
    const connection = this.#connection;
    const verdict = this.#allowance.idleFrame(connection.context.limits, nowMs);
    if (verdict === FLOOD || connection.context.turns.readsTooLong(this, nowMs))
      closeFlood(connection, this.#allowance, kind);
  }

  /**
   * Carries out a message, or what is left of one, until the turn has no more than `floor` units left, or a token
   * has to be checked. Returns false if commands may be left.
   */
  #carryOut(
    rest: CommandReader,
    refusal: OverLimit | null,
    isWhole: boolean,
    floor: number,
    nowMs: number,
  ): boolean {
    const connection = this.#connection;
    const { turns, clock } = connection.context;
    let sinceLook = 0;
    const first = rest.next();
    if (first === null && isWhole) this.idleFrame('messages', nowMs);
    if (first !== null && refusal === null && connection.hasExpired && first.type !== 'auth')
      connection.expire();
    for (
      let command = connection.isOpen ? first : null;
      command !== null;
      command = connection.isOpen ? rest.next() : null
    ) {
      turns.left--;
      this.#one(command, refusal, nowMs);
      if (++sinceLook === LOOK_EVERY) {
        sinceLook = 0;
        turns.look(clock.nowMs());
      }
      if (this.#isChecking || turns.left <= floor) return false;
    }
    return true;
  }

  #one(command: DecodedCommand, refusal: OverLimit | null, nowMs: number): void {
    if (command.type === 'undecodable') this.#undecodable(command);
    else if (refusal !== null) this.#refuse(command.id, refusal, nowMs);
    else if (!this.#withinRate(command.id, nowMs)) {
      // It has been answered.
    } else if (command.type === 'rejected') this.#violation(command);
    else {
      this.#violations = 0;
      runCommand(this.#connection, command);
    }
  }

  #undecodable({ reason }: Undecodable): void {
    const { id, socket, context } = this.#connection;
    context.log.debug({ connection: id, address: socket.remoteAddress, reason }, 'undecodable message');
    this.#connection.close(CLOSE.undecodable);
  }

  #violation(rejected: RejectedCommand): void {
    this.#connection.fail(rejected.id, rejected.code, rejected.message);
    if (++this.#violations > MAX_VIOLATIONS) this.#connection.close(CLOSE.violations);
  }

  /** Answers a command of a message that takes the connection, or its user, over its bytes a second. */
  #refuse(id: number, refusal: OverLimit, nowMs: number): void {
    const connection = this.#connection;
    const verdict = this.#allowance.refusedCommand(connection.context.limits, nowMs);
    if (verdict === FLOOD) closeFlood(connection, this.#allowance, 'bytes', id);
    else connection.overLimit(id, refusal);
  }

  #withinRate(id: number, nowMs: number): boolean {
    const { context, user, waiting } = this.#connection;
    return this.#passes(id, this.#allowance.command(context.limits, user, waiting, nowMs));
  }

  /** Whether one more join is within the rate; else it is answered. */
  takesJoin(id: number): boolean {
    const { context, user } = this.#connection;
    return this.#passes(id, this.#allowance.join(context.limits, user, context.clock.nowMs()));
  }

  #passes(id: number, verdict: number): boolean {
    if (verdict === WITHIN) return true;
    refuseCommand(this.#connection, this.#allowance, id, verdict);
    return false;
  }

  /** Milliseconds after which one more idempotency key may come; 0: now. */
  keyAfterMs(): number {
    const { context, user } = this.#connection;
    return this.#allowance.key(context.limits, user, context.clock);
  }

  // ---- what waits -----------------------------------------------------------------------------------------

  /** A token is being checked, or commands wait for their turn. */
  get isPaused(): boolean {
    return this.#held !== null;
  }

  get isChecking(): boolean {
    return this.#isChecking;
  }

  /** Keeps a message as it came. */
  #keep(message: Uint8Array, refusal: OverLimit | null, nowMs: number): void {
    const held = this.#holding();
    held.keep(message, refusal);
    const { turns } = this.#connection.context;
    if (!turns.readsTooLong(this, nowMs)) this.#wait(held);
    else closeLongRead(this.#connection);
  }

  /** Keeps what a message has left. */
  #hold(commands: CommandReader, refusal: OverLimit | null, isWhole: boolean): void {
    if (!this.#connection.isOpen) return;
    const bytes = commands.keep();
    if (bytes === 0 && !isWhole) return;
    const held = this.#holding();
    held.add({ commands, refusal, isWhole }, bytes);
    this.#wait(held);
  }

  #holding(): HeldCommands {
    this.#held ??= new HeldCommands(this.#connection.context.turns);
    return this.#held;
  }

  /** Waits for its turn, and closes the connection if too much of it waits. */
  #wait(held: HeldCommands): void {
    if (closeIfTooMuch(this.#connection, this.#allowance, held, this.#isChecking)) return;
    if (!this.#isChecking) this.#connection.context.turns.wait(this);
  }

  /** A token is being checked. From now on commands wait, in order, for `resume`. */
  pause(): void {
    this.#isChecking = true;
    this.#holding();
  }

  /** The token has been checked. */
  resume(): void {
    const { turns } = this.#connection.context;
    this.#isChecking = false;
    if (this.carryOn(turns.left)) turns.wait(this);
  }

  /** Its turn has come: see `TurnTaker`. */
  carryOn(units: number): boolean {
    const held = this.#held;
    if (held === null || this.#isChecking) return false;
    const connection = this.#connection;
    const { turns, clock } = connection.context;
    const nowMs = clock.nowMs();
    turns.look(nowMs);
    const floor = Math.max(0, turns.left - units);
    for (let message = held.first; message !== null && connection.isOpen; message = held.first) {
      if (turns.left <= floor) return true;
      const { refusal, isWhole } = message;
      const commands = this.#opened(message);
      message.isWhole = false;
      const isDone = this.#carryOut(commands, refusal, isWhole, floor, nowMs);
      if (!connection.isOpen || (!isDone && this.#isChecking)) return false;
      if (isDone) held.shift();
    }
    this.#held = null;
    return false;
  }

  #opened(message: HeldMessage): CommandReader {
    const { commands } = message;
    if (!(commands instanceof Uint8Array)) return commands;
    const reader = this.#connection.codec.readCommands(commands);
    message.commands = reader;
    return reader;
  }

  /** Nothing of what waits will be carried out. */
  drop(): void {
    this.#held?.drop();
    this.#held = null;
  }
}

/** Reads as a message of one command, which refers to no buffer. */
function onlyOne(command: RejectedCommand): CommandReader {
  let next: RejectedCommand | null = command;
  return {
    next: () => {
      const only = next;
      next = null;
      return only;
    },
    keep: () => (next === null ? 0 : 1),
  };
}
