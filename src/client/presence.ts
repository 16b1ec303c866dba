/** The live list of a room's members, where someone wants it, and what this member says about itself. */
import type {
  JoinOptions,
  JoinResult,
  MemberFrame,
  MembersSnapshot,
  PresenceFrame,
} from '../protocol/frames.ts';
import { fields } from './codec.ts';
import type { Emitter } from './emitter.ts';
import { DisconnectedError, RefusedError } from './errors.ts';
import { afterMember, afterPresence, fromSnapshot, type MemberList, NOBODY } from './member-list.ts';
import type { MembershipEvents, RoomOptions } from './room-events.ts';
import type { Session } from './session.ts';

export interface PresenceParts {
  readonly room: string;
  readonly emitter: Emitter<MembershipEvents>;
  readonly onError: (error: unknown) => void;
  /** A join in place, which asked for the list, was refused. */
  readonly refused: (error: RefusedError) => void;
  /** The connection on which the client is in the room. */
  readonly session: () => Session | null;
  /** What a join would ask for now. */
  readonly joinOptions: () => JoinOptions;
}

export class Presence {
  list: MemberList = NOBODY;
  readonly #parts: PresenceParts;
  #isListWanted: boolean;
  /** The node took the list back, and tells no more of the members. */
  #isTakenBack = false;
  /** What others see. Null: nothing was said yet. */
  #own: { readonly data: unknown } | null;

  constructor(parts: PresenceParts, { members, presence }: RoomOptions) {
    this.#parts = parts;
    this.#isListWanted = members === true;
    this.#own = presence === undefined ? null : { data: presence };
  }

  get joinOptions(): JoinOptions {
    return fields({ members: this.#isListWanted || undefined, ...this.#own });
  }

  /** Keeps the list from now on. Where the room was joined without it, joins again in place: messages go on meanwhile. */
  watch(): void {
    if (this.#isListWanted) return;
    this.#isListWanted = true;
    this.#askForList();
  }

  /** Kept, and brought along at every join. */
  async say(data: unknown): Promise<void> {
    this.#own = { data };
    const { room, session } = this.#parts;
    try {
      await session()?.request((id) => ['presence', id, room, data]);
    } catch (error) {
      // The next join brings it.
      if (!(error instanceof DisconnectedError)) throw error;
    }
  }

  /** A join was answered. Sees to what changed while it was on its way. */
  joined(asked: JoinOptions, { members }: JoinResult): void {
    if (members !== undefined) this.replace(members);
    if (this.#isListWanted && !asked.members) this.#askForList();
    const own = this.#own;
    if (own !== null && own.data !== asked.data) this.say(own.data).catch(this.#parts.onError);
  }

  /** The whole list, from a join or because the node says so. */
  replace(snapshot: MembersSnapshot): void {
    const list = fromSnapshot(snapshot);
    this.#isTakenBack = list === NOBODY;
    this.#set(list);
  }

  member([, , change, who, count]: MemberFrame): void {
    this.#heard();
    this.#set(afterMember(this.list, change, who, count));
    this.#parts.emitter.emit('member', { change, who, count });
  }

  changed([, , who]: PresenceFrame): void {
    this.#heard();
    this.#set(afterPresence(this.list, who));
    this.#parts.emitter.emit('presence', who);
  }

  /** The membership has ended. */
  forget(): void {
    this.#isTakenBack = false;
    this.#set(NOBODY);
  }

  /** The node tells of members: where it had stopped, this client may know them again. */
  #heard(): void {
    if (!this.#isTakenBack) return;
    this.#isTakenBack = false;
    if (this.#isListWanted) this.#askForList();
  }

  #askForList(): void {
    const { room, session, joinOptions, refused } = this.#parts;
    const asked = session();
    asked?.ask(
      (id) => ['join', id, room, joinOptions()],
      (error, result) => {
        if (session() !== asked) return;
        const { members } = (result ?? {}) as Partial<JoinResult>;
        if (members !== undefined) this.replace(members);
        else if (error instanceof RefusedError) refused(error);
      },
    );
  }

  #set(list: MemberList): void {
    if (list === this.list) return;
    this.list = list;
    this.#parts.emitter.emit('members', list);
  }
}
