/** Where a client stands in a room: what came, in order and once, what did not follow, and whether a join has brought everything. */
import type { GapFrame, JoinResult, MessageFrame, Position, ResetFrame } from '../protocol/frames.ts';
import { CatchUp } from './catch-up.ts';
import type { Emitter } from './emitter.ts';
import type { OwnMessages } from './own-messages.ts';
import type { Joined, MembershipEvents } from './room-events.ts';

export interface ReadingParts {
  readonly room: string;
  readonly own: OwnMessages;
  readonly emitter: Emitter<MembershipEvents>;
  readonly moved: () => void;
  /** Everything that a join had to bring is here. */
  readonly caughtUp: (joined: Joined) => void;
}

export class Reading {
  /** After the last message that listeners were given. Null: not known yet, or a room without history. */
  position: Position | null;
  /** The room was left: what is our own and yet to come is for whoever joins it again. */
  isOver = false;
  readonly #parts: ReadingParts;
  #catchUp: CatchUp | null = null;

  constructor(since: Position | null, parts: ReadingParts) {
    this.position = since;
    this.#parts = parts;
  }

  /** A join was answered: what it brings follows. `resume`: it began after what the user has acknowledged. */
  begin({ epoch, offset, recovered, from, acked }: JoinResult, resume: boolean | undefined): void {
    this.#catchUp = new CatchUp([epoch, offset], recovered);
    if (epoch === '') return;
    const begin = from ?? (resume ? (acked ?? offset) : offset);
    if (this.position === null) this.#move([epoch, begin]);
    // No message was seen: the epoch is the node's, and there is no `reset`.
    else if (this.position[1] === 0) this.#move([epoch, 0]);
  }

  /** The connection is gone, and with it the rest of what the join brought. */
  stop(): void {
    this.#catchUp = null;
  }

  message([, room, offset, time, sender, data]: MessageFrame): void {
    if (offset > 0) {
      // Without history there is no position; with it, the join has set one.
      const [epoch, seen] = this.position ?? ['', 0];
      if (offset <= seen) return;
      // Before listeners run: one that leaves and joins again begins after this message.
      this.#move([epoch, offset]);
      // History does not know who was not to get it.
      if (this.#parts.own.has(room, epoch, offset)) return this.passOwn();
    }
    this.#catchUp?.message();
    this.#parts.emitter.emit('message', { room, offset, time, sender, data });
    this.passOwn();
  }

  gap([, , from, to, reason = 'expired']: GapFrame): void {
    const [epoch, seen] = this.position ?? ['', 0];
    // What came before a join in place was answered comes again, conflated.
    if (to <= seen) return;
    const gap = { from: Math.max(from, seen + 1), to, reason };
    this.#move([epoch, to]);
    this.#catchUp?.gap(gap);
    this.#parts.emitter.emit('gap', gap);
    this.passOwn();
  }

  reset([, , epoch, offset]: ResetFrame): void {
    const position: Position = [epoch, offset];
    this.#move(position);
    this.#catchUp?.reset();
    this.#parts.emitter.emit('reset', { position });
    this.passOwn();
  }

  /** Moves on over messages of our own: they do not come, and nobody waits for them. Looks whether that was all. */
  passOwn(): void {
    if (this.isOver) return;
    const { position } = this;
    if (position !== null) {
      const offset = this.#parts.own.lastFrom(this.#parts.room, position[0], position[1]);
      if (offset > position[1]) this.#move([position[0], offset]);
    }
    const joined = this.#catchUp?.result(this.position);
    if (!joined) return;
    this.#catchUp = null;
    this.#parts.caughtUp(joined);
  }

  #move(position: Position): void {
    this.position = position;
    this.#parts.moved();
  }
}
