/**
 * The client's place in one room, over all of its connections: where it stands, whether it has caught up, who else is there. Shared
 * by every `Room` of that name.
 */
import type { JoinOptions, JoinResult, Position, ServerFrame } from '../protocol/frames.ts';
import type { Timer } from '../util/scheduler.ts';
import { Emitter } from './emitter.ts';
import type { Environment } from './environment.ts';
import { ClosedError, PASSING, RefusedError } from './errors.ts';
import { HeldFrames } from './held-frames.ts';
import { joinOptions } from './join-options.ts';
import type { OwnMessages } from './own-messages.ts';
import { Presence } from './presence.ts';
import { Reading } from './reading.ts';
import type { MembershipEvents, RoomOptions, RoomState } from './room-events.ts';
import type { Session } from './session.ts';

export interface MembershipParts {
  readonly environment: Environment;
  readonly onError: (error: unknown) => void;
  /** The connection, where it may be used. */
  readonly session: () => Session | null;
  /** What of ours in this room is not for us. */
  readonly own: OwnMessages;
  /** Whether a message of ours that is not for us may be among those that come, without its offset being known. */
  readonly hasDoubtful: () => boolean;
  /** The position moved. */
  readonly moved: () => void;
  /** Its last user let it go. */
  readonly released: () => void;
}

const RETRY_BASE_MS = 200;
const RETRY_CAP_MS = 10_000;

export class Membership {
  readonly name: string;
  readonly emitter: Emitter<MembershipEvents>;
  readonly presence: Presence;
  state: RoomState = 'waiting';
  /** Why the node refused or ended it; null: it did not, or it is tried again. */
  failure: RefusedError | ClosedError | null = null;
  readonly #options: RoomOptions;
  readonly #parts: MembershipParts;
  readonly #reading: Reading;
  readonly #held = new HeldFrames((frame) => this.#deliver(frame));
  /** `Room` objects that use it. */
  #users = 0;
  /** Of the last join. */
  #asked: JoinOptions = {};
  #session: Session | null = null;
  #retries = 0;
  #retry: Timer | null = null;

  constructor(name: string, options: RoomOptions, parts: MembershipParts) {
    this.name = name;
    this.#options = options;
    this.#parts = parts;
    const emitter = new Emitter<MembershipEvents>(parts.onError);
    this.emitter = emitter;
    this.presence = new Presence(
      {
        room: name,
        emitter,
        onError: parts.onError,
        refused: (error) => this.#notJoinedInPlace(error),
        session: () => (this.#isIn ? this.#session : null),
        joinOptions: () => this.#joinOptions(),
      },
      options,
    );
    this.#reading = new Reading(options.since ?? null, {
      emitter,
      room: name,
      own: parts.own,
      moved: parts.moved,
      caughtUp: (joined) => {
        this.#setState('joined');
        emitter.emit('joined', joined);
      },
    });
  }

  get position(): Position | null {
    return this.#reading.position;
  }

  /** Where it stood before a reload. Counts where nothing else says where to begin. */
  placeAt(position: Position | undefined): void {
    this.#reading.position ??= position ?? null;
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
    const asked = this.#joinOptions();
    this.#asked = asked;
    this.state = 'joining';
    // Answered in place and not by a promise: what follows the reply in the same WebSocket message counts already.
    session.ask(
      (id) => ['join', id, this.name, asked],
      (error, result) => {
        if (this.#session !== session) return;
        if (error === null) this.#joined(result as JoinResult);
        else if (error instanceof RefusedError) this.#notJoined(error);
      },
    );
    // The join is on its way: a listener that leaves the room now leaves it after that.
    if (this.state === 'joining') this.emitter.emit('state', 'joining');
  }

  /** The connection is gone. What it still had to say is not heard. */
  disconnected(): void {
    this.#forgetSession();
    if (this.failure === null) this.#setState('waiting');
  }

  /** For good. `error`: null where the application wanted it. */
  leave(error: Error | null): void {
    const session = this.#session;
    const mayBeIn = this.#isIn || this.state === 'joining';
    this.#forgetSession();
    this.#reading.isOver = true;
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
    if (this.failure === null) return;
    this.failure = null;
    this.#setState('waiting');
    this.join();
  }

  /** A frame of this room. Before the join is answered it belongs to a membership that is over. */
  take(frame: ServerFrame): void {
    // The server put the user back: joining goes on from the position, so that nothing in between is missed.
    if (frame[0] === 'joined') return this.rejoin();
    if (!this.#held.hold(frame)) this.#deliver(frame);
  }

  /** A message of ours that is not for us was stored, or (null) will not be. */
  ownSettled(): void {
    this.#reading.passOwn();
    if (!this.#parts.hasDoubtful()) this.#held.release();
  }

  get #isIn(): boolean {
    return this.state === 'catching-up' || this.state === 'joined';
  }

  #deliver(frame: ServerFrame): void {
    if (!this.#isIn) return;
    const { emitter, name: room } = this;
    switch (frame[0]) {
      case 'message':
        return this.#reading.message(frame);
      case 'signal':
        emitter.emit('signal', { room, time: frame[2], sender: frame[3], data: frame[4] });
        return;
      case 'gap':
        return this.#reading.gap(frame);
      case 'reset':
        return this.#reading.reset(frame);
      case 'member':
        return this.presence.member(frame);
      case 'presence':
        return this.presence.changed(frame);
      case 'members':
        return this.presence.replace(frame[2]);
      case 'removed':
        return this.#removed(frame[2]);
      default:
    }
  }

  #joinOptions(): JoinOptions {
    return { ...joinOptions(this.#options, this.position), ...this.presence.joinOptions };
  }

  #joined(result: JoinResult): void {
    this.#retries = 0;
    if (this.#parts.hasDoubtful()) this.#held.begin();
    this.#reading.begin(result, this.#options.resume);
    this.#setState('catching-up');
    this.presence.joined(this.#asked, result);
    this.#reading.passOwn();
  }

  #notJoined(error: RefusedError): void {
    // `not_joined`: the connection left the room, or joined it again.
    if (!PASSING.includes(error.code) && error.code !== 'not_joined') return this.#refused(error);
    const { scheduler } = this.#parts.environment;
    const backoffMs = scheduler.random() * Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** this.#retries++);
    this.#retry = scheduler.after((error.retryAfterMs ?? 0) + backoffMs, () => {
      this.#setState('waiting');
      this.join();
    });
  }

  /** The node gave up: like any join that fails, it has left the connection outside. What it may not have costs no membership. */
  #notJoinedInPlace(error: RefusedError): void {
    if (!PASSING.includes(error.code)) return this.#parts.onError(error);
    this.#reading.stop();
    this.#held.drop();
    this.#setState('waiting');
    // A listener may have left the room, or joined it again.
    if (this.state !== 'waiting') return;
    this.#setState('joining');
    this.#notJoined(error);
  }

  #refused(error: RefusedError): void {
    this.#fail('refused', error);
    this.presence.forget();
    if (!this.emitter.emit('refused', error)) this.#parts.onError(error);
  }

  #removed(reason: string): void {
    this.#fail('removed', new ClosedError(`removed from ${this.name}: ${reason}`));
    this.presence.forget();
    this.emitter.emit('removed', { reason });
  }

  /** Loops end. Whoever listens may call `rejoin`. */
  #fail(state: 'refused' | 'removed', error: RefusedError | ClosedError): void {
    this.failure = error;
    this.emitter.emit('ended', error);
    this.#setState(state);
  }

  #forgetSession(): void {
    this.#retry?.cancel();
    this.#reading.stop();
    this.#held.drop();
    this.#session = null;
  }

  #setState(state: RoomState): void {
    if (this.state === state) return;
    this.state = state;
    this.emitter.emit('state', state);
  }
}
