/**
 * The client's place in one room, over all of its connections: where it stands, whether it has caught up, who else is there. Shared
 * by every `Room` of that name.
 */
import type { ErrorCode } from '../protocol/codes.ts';
import type { JoinOptions, JoinResult, Position, PublishResult, ServerFrame } from '../protocol/frames.ts';
import type { Timer } from '../util/scheduler.ts';
import { Emitter } from './emitter.ts';
import type { Environment } from './environment.ts';
import { ClosedError, DisconnectedError, RefusedError } from './errors.ts';
import type { MemberList } from './member-list.ts';
import { Presence } from './presence.ts';
import { Reading } from './reading.ts';
import type { MembershipEvents, RoomOptions, RoomState } from './room-events.ts';
import type { Session } from './session.ts';

export interface MembershipParts {
  readonly environment: Environment;
  readonly onError: (error: unknown) => void;
  /** The connection, where it may be used. */
  readonly session: () => Session | null;
  /** Whether a message of ours that is not for us may be among those that come, without its offset being known. */
  readonly hasDoubtful: () => boolean;
  /** The position moved. */
  readonly moved: () => void;
  /** Its last user let it go. */
  readonly released: () => void;
}

/** Waiting may cure these. */
const PASSING: readonly ErrorCode[] = ['rate_limited', 'unavailable', 'timeout', 'internal', 'not_joined'];
/** Frames that wait until it is known which messages are our own. Beyond that all are delivered. */
const MAX_HELD = 1_000;
const RETRY_BASE_MS = 200;
const RETRY_CAP_MS = 10_000;

export class Membership {
  readonly name: string;
  readonly emitter: Emitter<MembershipEvents>;
  state: RoomState = 'waiting';
  readonly #options: RoomOptions;
  readonly #parts: MembershipParts;
  readonly #reading: Reading;
  readonly #presence: Presence;
  /** `Room` objects that use it. */
  #users = 0;
  /** Of the last join. */
  #asked: JoinOptions = {};
  #session: Session | null = null;
  /** What came while it was unknown which messages are our own; null: it is known. */
  #held: ServerFrame[] | null = null;
  #retries = 0;
  #retry: Timer | null = null;

  constructor(name: string, options: RoomOptions, parts: MembershipParts) {
    this.name = name;
    this.#options = options;
    this.#parts = parts;
    const emitter = new Emitter<MembershipEvents>(parts.onError);
    this.emitter = emitter;
    this.#presence = new Presence(emitter, options.members === true, options.presence);
    this.#reading = new Reading(options.since ?? null, {
      emitter,
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

  get members(): MemberList {
    return this.#presence.list;
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
    this.#setState('joining');
    const asked = this.#joinOptions();
    this.#asked = asked;
    // Answered in place and not by a promise: what follows the reply in the same WebSocket message counts already.
    session.ask(
      (id) => ['join', id, this.name, asked],
      (error, result) => {
        if (this.#session !== session) return;
        if (error === null) this.#joined(result as JoinResult);
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

  /** Keeps the list from now on. Where the room was joined without it, joins again in place: messages go on meanwhile. */
  watchMembers(): void {
    const presence = this.#presence;
    if (presence.isListWanted) return;
    presence.isListWanted = true;
    if (this.#isIn) this.#askForMembers();
  }

  /** Kept, and brought along at every join. */
  async setPresence(data: unknown): Promise<void> {
    this.#presence.own = { data };
    if (!this.#isIn) return;
    try {
      await this.#session?.request((id) => ['presence', id, this.name, data]);
    } catch (error) {
      // The next join brings it.
      if (!(error instanceof DisconnectedError)) throw error;
    }
  }

  /** A frame of this room. Before the join is answered it belongs to a membership that is over. */
  take(frame: ServerFrame): void {
    // The server put the user back: joining goes on from the position, so that nothing in between is missed.
    if (frame[0] === 'joined') return this.rejoin();
    if (!this.#isIn) return;
    if (this.#held !== null) {
      this.#held.push(frame);
      if (this.#held.length > MAX_HELD) this.#deliverHeld();
      return;
    }
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
        return this.#presence.member(frame);
      case 'presence':
        return this.#presence.changed(frame);
      case 'members':
        return this.#presence.replace(frame[2]);
      case 'removed':
        return this.#removed(frame[2]);
      default:
    }
  }

  /** A message of ours that is not for us was stored, or (null) will not be. */
  ownSettled(result: PublishResult | null): void {
    if (result !== null) this.#reading.stored(result);
    if (this.#held !== null && !this.#parts.hasDoubtful()) this.#deliverHeld();
  }

  get #isIn(): boolean {
    return this.state === 'catching-up' || this.state === 'joined';
  }

  /** `last` and `resume` say where to begin. Whoever has a position goes on from there. */
  #joinOptions(): JoinOptions {
    const { last, resume, since } = this.#options;
    const { position } = this;
    const { isListWanted, own } = this.#presence;
    return {
      ...(position !== null && { since: position }),
      ...(position === null && resume && { resume }),
      // Nothing came yet, so that this is still the first join.
      ...(position === (since ?? null) && last !== undefined && { last }),
      ...(isListWanted && { members: true }),
      ...own,
    };
  }

  #joined(result: JoinResult): void {
    this.#retries = 0;
    if (this.#parts.hasDoubtful()) this.#held = [];
    this.#reading.begin(result, this.#options.resume);
    this.#setState('catching-up');
    if (result.members !== undefined) this.#presence.replace(result.members);
    this.#askForTheRest();
    this.#reading.passOwn();
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

  #removed(reason: string): void {
    this.#setState('removed');
    this.#presence.forget();
    this.emitter.emit('removed', { reason });
    this.emitter.emit('ended', new ClosedError(`removed from ${this.name}: ${reason}`));
  }

  #deliverHeld(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const frame of held) this.take(frame);
  }

  #forgetSession(): void {
    this.#retry?.cancel();
    this.#reading.stop();
    this.#session = this.#held = null;
  }

  #setState(state: RoomState): void {
    if (this.state === state) return;
    this.state = state;
    this.emitter.emit('state', state);
  }

  /** What changed while the join was on its way. */
  #askForTheRest(): void {
    const { members, data } = this.#asked;
    const { isListWanted, own } = this.#presence;
    if (isListWanted && !members) this.#askForMembers();
    if (own !== null && own.data !== data) this.setPresence(own.data).catch(this.#parts.onError);
  }

  #askForMembers(): void {
    const session = this.#session;
    session?.ask(
      (id) => ['join', id, this.name, this.#joinOptions()],
      (error, result) => {
        if (this.#session !== session) return;
        const { members } = (result ?? {}) as Partial<JoinResult>;
        if (members !== undefined) this.#presence.replace(members);
        else if (error instanceof RefusedError) this.#parts.onError(error);
      },
    );
  }
}
