/**
 * A room of a client for all components that use it: one join, one list of messages, one list of members. It joins and leaves after
 * the commit in which components came and went, so that StrictMode, a component that takes the place of another, and several that
 * want different things of the room make one join and no leave.
 */
import { RoomcastError } from '../errors.ts';
import { afterMember, afterPresence, fromSnapshot, type MemberList, NOBODY } from '../member-list.ts';
import type { Room } from '../room.ts';
import type { Joined, Message, RoomEvents, RoomOptions, RoomState } from '../room-events.ts';
import { appended, type ListedMessage, NO_MESSAGES, withOlder } from './message-list.ts';
import { fingerprint, joinOptions, most, type Wants } from './wants.ts';

/** How a room stands. Immutable, and replaced whole. */
export interface RoomView<T = unknown, S = unknown, P = unknown> {
  /** Null until the component has mounted. The components share it: do not leave it. */
  readonly room: Room<T, S, P> | null;
  readonly state: RoomState;
  /** What the last join brought. Null before the first. */
  readonly joined: Joined | null;
  /** Why the room was refused or ended, or what else failed. Null once it is joined. */
  readonly error: Error | null;
}

export type RoomListener = {
  [K in keyof RoomEvents]: readonly [name: K, listener: (event: RoomEvents[K]) => void];
}[keyof RoomEvents];

/** One hook of one component. */
export interface Use {
  readonly wants: Wants;
  readonly changed: () => void;
  readonly listens?: RoomListener;
}

export const BEFORE: RoomView = Object.freeze({ room: null, state: 'waiting', joined: null, error: null });

const BEYOND_HISTORY = Number.POSITIVE_INFINITY;

export class SharedRoom {
  view = BEFORE;
  messages = NO_MESSAGES;
  members: MemberList = NOBODY;
  readonly #join: (options: RoomOptions) => Room;
  readonly #released: () => void;
  /** With what removes its listener. */
  readonly #uses = new Map<Use, (() => void) | null>();
  #room: Room | null = null;
  /** The join asks for members. Otherwise, once someone wants them, they are asked for here. */
  #joinListsMembers = false;
  #asksForMembers = false;
  /** The list reaches back so many messages, or as far as there are any. */
  #reach = 0;
  #presence = '';
  #arrived: ListedMessage[] = [];
  #keys = 0;
  #checks = false;
  #tells = false;

  /** `released`: nobody uses it any more, and it is not used again. */
  constructor(join: (options: RoomOptions) => Room, released: () => void) {
    this.#join = join;
    this.#released = released;
  }

  /** Returns what ends the use. */
  use(use: Use): () => void {
    this.#uses.set(use, this.#listen(use));
    this.#checkSoon();
    return () => {
      this.#uses.get(use)?.();
      this.#uses.delete(use);
      this.#checkSoon();
    };
  }

  get #wants(): Wants[] {
    return Array.from(this.#uses.keys(), ({ wants }) => wants);
  }

  #listen({ listens }: Use): (() => void) | null {
    if (listens === undefined || this.#room === null || this.#room.state === 'left') return null;
    return this.#room.on(listens[0], listens[1] as (event: unknown) => void);
  }

  #checkSoon(): void {
    if (this.#checks) return;
    this.#checks = true;
    void Promise.resolve().then(() => {
      this.#checks = false;
      this.#check();
    });
  }

  #check(): void {
    if (this.#uses.size === 0) {
      this.#room?.leave();
      this.#released();
    } else if (this.#room === null) this.#enter();
    else if (this.#room.state !== 'left') this.#extend(this.#room);
  }

  #enter(): void {
    const wants = this.#wants;
    const options = joinOptions(wants);
    try {
      this.#room = this.#join(options);
    } catch (error) {
      // The client is closed.
      return this.#look({ state: 'left', error: error as Error });
    }
    this.#joinListsMembers = options.members === true;
    this.#presence = fingerprint(options.presence);
    this.#reach = Math.min(options.last ?? 0, most(wants, 'keep'));
    this.#follow(this.#room);
    for (const use of this.#uses.keys()) this.#uses.set(use, this.#listen(use));
    this.#look({ room: this.#room, state: this.#room.state });
  }

  #follow(room: Room): void {
    room.on('message', (message) => this.#message(message));
    room.on('members', (members) => this.#setMembers(members));
    room.on('state', (state) => this.#look({ state }));
    room.on('joined', (joined) => {
      this.#look({ joined, error: null });
      if (this.#asksForMembers) void this.#askForMembers(room);
    });
    room.on('refused', (error) => this.#fail(error));
    room.on('removed', ({ reason }) => this.#fail(new RoomcastError(`removed from ${room.name}: ${reason}`)));
    // Offsets begin anew: what is held cannot be compared with history any more.
    room.on('reset', () => {
      this.#reach = BEYOND_HISTORY;
    });
    room.on('member', ({ change, who, count }) => {
      if (this.#asksForMembers) this.#setMembers(afterMember(this.members, change, who, count));
    });
    room.on('presence', (who) => {
      if (this.#asksForMembers) this.#setMembers(afterPresence(this.members, who));
    });
  }

  /** Someone who came later may want more than the join brought. */
  #extend(room: Room): void {
    const wants = this.#wants;
    const { members, presence } = joinOptions(wants);
    const last = most(wants, 'last');
    if (last > Math.max(this.#reach, this.messages.length)) void this.#readBack(room, last);
    if (members && !this.#joinListsMembers && !this.#asksForMembers) {
      this.#asksForMembers = true;
      if (room.state === 'joined') void this.#askForMembers(room);
    }
    if (fingerprint(presence) === this.#presence) return;
    this.#presence = fingerprint(presence);
    room.setPresence(presence ?? null).catch((error) => this.#failed(room, error));
  }

  async #readBack(room: Room, last: number): Promise<void> {
    this.#reach = last;
    try {
      const { messages } = await room.history({ limit: last });
      if (this.#reach !== last || this.#room !== room) return;
      this.#takeArrived();
      const listed = messages.map((message) => this.#listed(message));
      this.messages = withOlder(this.messages, listed, most(this.#wants, 'keep'));
      this.#tellSoon();
    } catch (error) {
      this.#failed(room, error);
    }
  }

  async #askForMembers(room: Room): Promise<void> {
    try {
      this.#setMembers(fromSnapshot(await room.listMembers()));
    } catch (error) {
      this.#failed(room, error);
    }
  }

  #message(message: Message): void {
    const keep = most(this.#wants, 'keep');
    if (keep === 0) return this.#forgetMessages();
    this.#arrived.push(this.#listed(message));
    if (this.#arrived.length > 2 * keep) this.#takeArrived();
    this.#tellSoon();
  }

  /** Nobody shows them. What is held would have a hole: who comes next reads history again. */
  #forgetMessages(): void {
    this.messages = NO_MESSAGES;
    this.#arrived = [];
    this.#reach = 0;
  }

  #listed(message: Message): ListedMessage {
    return { ...message, key: this.#keys++ };
  }

  /** Copies the list once for all that came in one WebSocket message. */
  #takeArrived(): void {
    if (this.#arrived.length === 0) return;
    const keep = most(this.#wants, 'keep');
    const isCut = this.messages.length + this.#arrived.length > keep;
    this.messages = appended(this.messages, this.#arrived, keep);
    this.#arrived = [];
    // Whoever kept more may be gone.
    if (isCut && this.#reach !== BEYOND_HISTORY) this.#reach = Math.min(this.#reach, keep);
  }

  #setMembers(members: MemberList): void {
    this.members = members;
    this.#tellSoon();
  }

  #look(change: Partial<RoomView>): void {
    this.view = Object.freeze({ ...this.view, ...change });
    this.#tellSoon();
  }

  /** Of a request of this object. One that ends with the room is no fault. */
  #failed(room: Room, error: unknown): void {
    if (room.state !== 'left') this.#look({ error: error as Error });
  }

  /** Thrown in a listener it reaches `onError` of the client, where no component shows it. */
  #fail(error: Error): void {
    this.#look({ error });
    if (!this.#wants.some(({ watches }) => watches)) throw error;
  }

  #tellSoon(): void {
    if (this.#tells) return;
    this.#tells = true;
    void Promise.resolve().then(() => {
      this.#tells = false;
      this.#takeArrived();
      for (const { changed } of [...this.#uses.keys()]) changed();
    });
  }
}
