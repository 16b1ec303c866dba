import type { Member, MembersSnapshot, ServerFrame } from '../../src/protocol/frames.ts';

/** A room's members as a client keeps them that follows PROTOCOL.md, from the frames that it got. */
export class MemberList {
  readonly #room: string;
  #members = new Map<string, Member>();
  /** The room is too large to know its members. */
  isPartial = true;
  count = 0;
  /** Snapshots after the first. */
  replaced = 0;

  constructor(room: string) {
    this.#room = room;
  }

  /** The list of a client that got these frames. `joinId`: of its join. */
  static from(room: string, joinId: number, frames: readonly ServerFrame[]): MemberList {
    const list = new MemberList(room);
    const joinedAt = frames.findIndex((frame) => frame[0] === 'ok' && frame[1] === joinId);
    const joined = frames[joinedAt];
    if (joined?.[0] !== 'ok' || !('members' in joined[2])) throw new Error('the join brought no members');
    list.#replace(joined[2].members as MembersSnapshot);
    for (const frame of frames.slice(joinedAt + 1)) list.take(frame);
    return list;
  }

  take(frame: ServerFrame): void {
    if (frame[1] !== this.#room) return;
    if (frame[0] === 'members') {
      this.replaced++;
      this.#replace(frame[2]);
    } else if (frame[0] === 'presence') this.#members.set(frame[2].connection, frame[2]);
    else if (frame[0] === 'member') {
      const [, , change, who, count] = frame;
      this.count = count;
      if (who === null) this.isPartial = true;
      else if (change === 'joined') this.#members.set(who.connection, who);
      else this.#members.delete(who.connection);
    }
  }

  #replace({ count, members, partial }: MembersSnapshot): void {
    this.count = count;
    this.isPartial = partial ?? false;
    this.#members = new Map(members.map((member) => [member.connection, member]));
  }

  /** By connection. */
  get members(): Member[] {
    return [...this.#members.values()].sort((a, b) => (a.connection < b.connection ? -1 : 1));
  }
}
