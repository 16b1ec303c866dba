/** The live list of a room's members, where someone wants it, and what this member says about itself. */
import type { MemberFrame, MembersSnapshot, PresenceFrame } from '../protocol/frames.ts';
import type { Emitter } from './emitter.ts';
import { afterMember, afterPresence, fromSnapshot, type MemberList, NOBODY } from './member-list.ts';
import type { MembershipEvents } from './room-events.ts';

export class Presence {
  list: MemberList = NOBODY;
  isListWanted: boolean;
  /** What others see. Null: nothing was said yet. */
  own: { readonly data: unknown } | null;
  readonly #emitter: Emitter<MembershipEvents>;

  constructor(emitter: Emitter<MembershipEvents>, isListWanted: boolean, data: unknown) {
    this.#emitter = emitter;
    this.isListWanted = isListWanted;
    this.own = data === undefined ? null : { data };
  }

  /** The whole list, from a join or because the node says so. */
  replace(snapshot: MembersSnapshot): void {
    this.#set(fromSnapshot(snapshot));
  }

  member([, , change, who, count]: MemberFrame): void {
    this.#change((list) => afterMember(list, change, who, count));
    this.#emitter.emit('member', { change, who, count });
  }

  changed([, , who]: PresenceFrame): void {
    this.#change((list) => afterPresence(list, who));
    this.#emitter.emit('presence', who);
  }

  /** The membership has ended. */
  forget(): void {
    this.#change(() => NOBODY);
  }

  /** Without a list there is nothing to change. */
  #change(change: (list: MemberList) => MemberList): void {
    if (this.list !== NOBODY) this.#set(change(this.list));
  }

  #set(list: MemberList): void {
    this.list = list;
    this.#emitter.emit('members', list);
  }
}
