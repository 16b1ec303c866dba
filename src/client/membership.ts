/**
 * The client's place in one room, over all of its connections: where it stands, whether it has caught up, who else is there. Shared
 * by every `Room` of that name.
 */
import type { ErrorCode } from '../protocol/codes.ts';
import type { GapFrame, MessageFrame, Position } from '../protocol/frames.ts';
import type { Timer } from '../util/scheduler.ts';
import { CatchUp } from './catch-up.ts';
import type { Incoming } from './codec.ts';
import { Emitter } from './emitter.ts';
import type { Environment } from './environment.ts';
import { ClosedError, DisconnectedError, RefusedError } from './errors.ts';
import { afterMember, afterPresence, fromSnapshot, type MemberList, NOBODY } from './member-list.ts';
import type { RoomEvents, RoomOptions, RoomState } from './room-events.ts';
import type { Session } from './session.ts';
import type { ClientJoinOptions, ClientJoinResult } from './wire.ts';

export interface MembershipParts {
  readonly environment: Environment;
  readonly onError: (error: unknown) => void;
  /** The connection, where it may be used. */
  readonly session: () => Session | null;
  /** The position moved. */
  readonly moved: () => void;
  /** Its last user let it go. */
  readonly released: () => void;
}

interface MembershipEvents extends RoomEvents {
  /** Nothing follows, until someone calls `rejoin`. Null: as the application wanted. */
  ended: Error | null;
}

/** Waiting may cure these. */
const PASSING: readonly ErrorCode[] = ['rate_limited', 'unavailable', 'timeout', 'internal', 'not_joined'];
const RETRY_BASE_MS = 200;
const RETRY_CAP_MS = 10_000;

export class Membership {
  readonly name: string;
  readonly emitter: Emitter<MembershipEvents>;
  state: RoomState = 'waiting';
  /** After the last message that listeners were given. Null: not known yet, or a room without history. */
  position: Position | null;
  members: MemberList = NOBODY;
  readonly #options: RoomOptions;
  readonly #parts: MembershipParts;
  /** `Room` objects that use it. */
  #users = 0;
  #presence: { readonly data: unknown } | null;
  #session: Session | null = null;
  #catchUp: CatchUp | null = null;
  #retries = 0;
  #retry: Timer | null = null;

  constructor(name: string, options: RoomOptions, parts: MembershipParts) {
    this.name = name;
    this.#options = options;
    this.#parts = parts;
    this.position = options.since ?? null;
    this.#presence = options.presence === undefined ? null : { data: options.presence };
    this.emitter = new Emitter(parts.onError);
  }

  use(): void {
    this.#users++;
  }

  release(): void {
    if (--this.#users > 0 || this.state === 'left') return;
    this.#parts.released();
    this.leave(null);
  }

  /** Joins from where it stands, as soon as there is a connection. */
  join(): void {
    const session = this.#parts.session();
    if (session === null || this.state !== 'waiting') return;
    this.#session = session;
    this.#setState('joining');
    // Answered in place and not by a promise: what follows the reply in the same WebSocket message counts already.
    session.ask(
      (id) => ['join', id, this.name, this.#joinOptions()],
      (error, result) => {
        if (this.#session !== session) return;
        if (error === null) this.#joined(result as ClientJoinResult);
        else if (error instanceof RefusedError) this.#notJoined(error);
      },
    );
  }

  /** The connection is gone. What it still had to say is not heard. */
  disconnected(): void {
    this.#forgetSession();
    if (this.state !== 'refused' && this.state !== 'removed') this.#setState('waiting');
  }

  /** For good. `error`: null where the application wanted it. */
  leave(error: Error | null): void {
    const session = this.#session;
    const mayBeIn = this.#isIn || this.state === 'joining';
    this.#forgetSession();
    this.#setState('left');
    this.emitter.emit('ended', error);
    this.emitter.clear();
    if (mayBeIn)
      session?.ask(
        (id) => ['leave', id, this.name],
        () => undefined,
      );
  }

  /** After a refusal or a removal: tries again. */
  rejoin(): void {
    if (this.state !== 'refused' && this.state !== 'removed') return;
    this.#setState('waiting');
    this.join();
  }

  /** Kept, and brought along at every join. */
  async setPresence(data: unknown): Promise<void> {
    this.#presence = { data };
    if (!this.#isIn) return;
    try {
      await this.#session?.request((id) => ['presence', id, this.name, data]);
    } catch (error) {
      // The next join brings it.
      if (!(error instanceof DisconnectedError)) throw error;
    }
  }

  /** A frame of this room. Before the join is answered it belongs to a membership that is over. */
  take(frame: Incoming): void {
    if (!this.#isIn) return;
    const { emitter, name: room } = this;
    switch (frame[0]) {
      case 'message':
        return this.#message(frame);
      case 'signal':
        emitter.emit('signal', { room, time: frame[2], sender: frame[3], data: frame[4] });
        return;
      case 'gap':
        return this.#gap(frame);
      case 'reset':
        return this.#reset([frame[2], frame[3]]);
      case 'member':
        this.#setMembers(afterMember(this.members, frame[2], frame[3], frame[4]));
        emitter.emit('member', { change: frame[2], who: frame[3], count: frame[4] });
        return;
      case 'presence':
        this.#setMembers(afterPresence(this.members, frame[2]));
        emitter.emit('presence', frame[2]);
        return;
      case 'removed':
        return this.#removed(frame[2]);
      default:
    }
  }

  get #isIn(): boolean {
    return this.state === 'catching-up' || this.state === 'joined';
  }

  /** `last` and `resume` say where to begin. Whoever has a position goes on from there. */
  #joinOptions(): ClientJoinOptions {
    const { last, resume, members, since } = this.#options;
    const { position } = this;
    return {
      ...(position !== null && { since: position }),
      ...(position === null && resume && { resume }),
      // Nothing came yet, so that this is still the first join.
      ...(position === (since ?? null) && last !== undefined && { last }),
      ...(members && { members }),
      ...(this.#presence !== null && { data: this.#presence.data }),
    };
  }

  #joined({ epoch, offset, recovered, from, acked, members }: ClientJoinResult): void {
    this.#retries = 0;
    this.#catchUp = new CatchUp([epoch, offset], recovered);
    if (epoch !== '') {
      const begin = from ?? (this.#options.resume ? (acked ?? offset) : offset);
      if (this.position === null) this.#move([epoch, begin]);
      // No message was seen: the epoch is the node's, and there is no `reset`.
      else if (this.position[1] === 0) this.#move([epoch, 0]);
    }
    this.#setState('catching-up');
    if (members !== undefined) this.#setMembers(fromSnapshot(members));
    this.#lookWhetherCaughtUp();
  }

  #notJoined(error: RefusedError): void {
    if (!PASSING.includes(error.code)) {
      this.#setState('refused');
      this.emitter.emit('ended', error);
      if (!this.emitter.emit('refused', error)) this.#parts.onError(error);
      return;
    }
    const { scheduler } = this.#parts.environment;
    const backoffMs = scheduler.random() * Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** this.#retries++);
    this.#retry = scheduler.after((error.retryAfterMs ?? 0) + backoffMs, () => {
      this.#setState('waiting');
      this.join();
    });
  }

  #message([, room, offset, time, sender, data]: MessageFrame): void {
    if (offset > 0) {
      // Without history there is no position; with it, the join has set one.
      const [epoch, seen] = this.position ?? ['', 0];
      if (offset <= seen) return;
      // Before listeners run: one that leaves and joins again begins after this message.
      this.#move([epoch, offset]);
    }
    this.#catchUp?.message();
    this.emitter.emit('message', { room, offset, time, sender, data });
    this.#lookWhetherCaughtUp();
  }

  #gap([, , from, to, reason = 'expired']: GapFrame): void {
    const gap = { from, to, reason };
    const [epoch, seen] = this.position ?? ['', 0];
    if (to > seen) this.#move([epoch, to]);
    this.#catchUp?.gap(gap);
    this.emitter.emit('gap', gap);
    this.#lookWhetherCaughtUp();
  }

  #reset(position: Position): void {
    this.#move(position);
    this.#catchUp?.reset();
    this.emitter.emit('reset', { position });
    this.#lookWhetherCaughtUp();
  }

  #removed(reason: string): void {
    this.#setState('removed');
    this.emitter.emit('removed', { reason });
    this.emitter.emit('ended', new ClosedError(`removed from ${this.name}: ${reason}`));
  }

  #lookWhetherCaughtUp(): void {
    const joined = this.#catchUp?.result(this.position);
    if (!joined) return;
    this.#catchUp = null;
    this.#setState('joined');
    this.emitter.emit('joined', joined);
  }

  #forgetSession(): void {
    this.#retry?.cancel();
    this.#session = this.#catchUp = null;
  }

  #move(position: Position): void {
    this.position = position;
    this.#parts.moved();
  }

  #setState(state: RoomState): void {
    if (this.state === state) return;
    this.state = state;
    this.emitter.emit('state', state);
  }

  #setMembers(members: MemberList): void {
    this.members = members;
    this.emitter.emit('members', members);
  }
}
