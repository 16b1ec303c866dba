/** One use of a room. Several may share a membership: the room is joined once, and left with the last of them. */
import type { AckResult, Position, PublishResult } from '../protocol/frames.ts';
import { ClosedError, RoomcastError } from './errors.ts';
import { Mailbox } from './mailbox.ts';
import type { MemberList, Snapshot } from './member-list.ts';
import type { Membership } from './membership.ts';
import { checkEvent, checkSettings } from './name-checks.ts';
import type { Message, RoomEvents, RoomState } from './room-events.ts';
import type {
  HistoryPage,
  HistorySettings,
  MembersSettings,
  PublishSettings,
  RequestSettings,
  RoomServices,
  SignalOutcome,
  SignalSettings,
} from './room-services.ts';

export interface IterationSettings {
  /** Messages that may wait for the loop. Default 1,000. A loop that falls further behind throws `TooSlowError`. */
  readonly buffer?: number;
}

const DEFAULT_BUFFER = 1_000;

/** `T`: what messages hold. `S`: what signals hold. `P`: presence data. */
export class Room<T = unknown, S = unknown, P = unknown> implements AsyncIterable<Message<T>> {
  readonly name: string;
  readonly #membership: Membership;
  readonly #services: RoomServices;
  /** What ends the listeners and loops of this object. */
  readonly #ends = new Set<() => void>();
  #isLeft = false;

  /** Made by `RoomcastClient.room`. */
  constructor(membership: Membership, services: RoomServices) {
    this.name = membership.name;
    this.#membership = membership;
    this.#services = services;
    membership.use();
  }

  get state(): RoomState {
    return this.#isLeft ? 'left' : this.#membership.state;
  }

  /** After the last message that listeners were given. Null before the first join is answered, and in rooms without history. */
  get position(): Position | null {
    return this.#membership.position;
  }

  /** Who is here, where the room was made with `members: true`. Replaced whole when it changes. */
  get members(): MemberList<P> {
    return this.#membership.presence.list as MemberList<P>;
  }

  /**
   * Calls `listener` until the returned function is called, or the room is left. A listener that throws, or whose promise rejects,
   * is reported to `onError`. Throws a TypeError for an event that does not exist.
   */
  on<K extends keyof RoomEvents<T, S, P>>(
    name: K,
    listener: (event: RoomEvents<T, S, P>[K]) => void,
  ): () => void {
    this.#refuseWhenLeft();
    checkEvent(name);
    return this.#untilLeft(this.#membership.emitter.on(name, listener as (event: unknown) => void));
  }

  /**
   * Messages from now on, for a `for await` loop. Breaking the loop does not leave the room. It ends when the room is left or the
   * client closed, and throws when the node refuses or ends the membership, and `TooSlowError`.
   */
  messages(settings: IterationSettings = {}): AsyncIterableIterator<Message<T>> {
    this.#refuseWhenLeft();
    checkSettings(settings);
    const { buffer = DEFAULT_BUFFER } = settings;
    const { emitter, failure } = this.#membership;
    const mailbox = new Mailbox<Message<T>>(buffer, () => stop());
    const offMessage = emitter.on('message', (message) => mailbox.put(message as Message<T>));
    const offEnded = emitter.on('ended', (error) => mailbox.end(error));
    const stop = this.#untilLeft(() => {
      offMessage();
      offEnded();
      mailbox.end(null);
    });
    // Nothing comes until someone calls `rejoin`.
    if (failure !== null) mailbox.end(failure);
    return mailbox;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message<T>> {
    return this.messages();
  }

  /**
   * Publishes. While there is no connection it waits in a bounded queue; a message is stored at most once however often the link
   * breaks. Rejects with `RefusedError`, `QueueFullError`, `UnknownOutcomeError` or `ClosedError`.
   */
  publish(data: T, settings?: PublishSettings): Promise<PublishResult> {
    return this.#services.publish(this.name, data, settings);
  }

  /** Sends what is not kept, such as typing or a cursor, to those who are here now. By default not to this connection. */
  signal(data: S, settings: SignalSettings = {}): SignalOutcome {
    checkSettings(settings);
    return this.#services.signal(this.name, data, settings.echo);
  }

  /** Kept messages, oldest first: the newest ones, or those after `since`. */
  history(settings?: HistorySettings): Promise<HistoryPage<T>> {
    return this.#services.history(this.name, settings) as Promise<HistoryPage<T>>;
  }

  /** Asks who is here, on any node, a page at a time: `next` is the `after` of the next one. For a list that follows the changes see `members`. */
  listMembers(settings?: MembersSettings): Promise<Snapshot<P>> {
    return this.#services.listMembers(this.name, settings) as Promise<Snapshot<P>>;
  }

  /** The user has processed everything up to `position`; by default everything that listeners were given. */
  async ack(position: Position | null = this.position, settings?: RequestSettings): Promise<AckResult> {
    if (position === null) throw new RoomcastError(`nothing in ${this.name} can be acknowledged yet`);
    return this.#services.ack(this.name, position, settings);
  }

  /** Sets what others see beside this member; null removes it. Kept, and brought along at every join. */
  async setPresence(data: P | null): Promise<void> {
    this.#refuseWhenLeft();
    return this.#membership.presence.say(data);
  }

  /** Joins again after `refused` or `removed`. */
  rejoin(): void {
    this.#refuseWhenLeft();
    this.#membership.rejoin();
  }

  /** Ends the listeners and loops of this object. The room is left with the last one of its name. May be called twice. */
  leave(): void {
    if (this.#isLeft) return;
    this.#isLeft = true;
    for (const end of [...this.#ends]) end();
    this.#membership.release();
  }

  #refuseWhenLeft(): void {
    if (this.state === 'left') throw new ClosedError(`the room ${this.name} was left`);
  }

  #untilLeft(end: () => void): () => void {
    const once = () => {
      if (this.#ends.delete(once)) end();
    };
    this.#ends.add(once);
    return once;
  }
}
