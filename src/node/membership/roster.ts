import type { PresenceChange, PresenceEntry } from '../../backplane/presence.ts';
import { msgpackCodec } from '../../protocol/codec.ts';
import type { MembersSnapshot } from '../../protocol/frames.ts';

/** Who is in one room, by connection. Changes may be applied again: the last one of each connection counts. */
export class Roster {
  readonly #entries: Map<string, PresenceEntry>;

  constructor(entries: readonly PresenceEntry[]) {
    this.#entries = new Map(entries.map((entry) => [entry.connection, entry]));
  }

  get size(): number {
    return this.#entries.size;
  }

  get(connection: string): PresenceEntry | undefined {
    return this.#entries.get(connection);
  }

  apply({ change, who }: Pick<PresenceChange, 'change' | 'who'>): void {
    if (change === 'left') this.#entries.delete(who.connection);
    else this.#entries.set(who.connection, who);
  }

  /** `self`: a member that may not be in it yet, as it is now. */
  snapshot(self: PresenceEntry | null): MembersSnapshot {
    const entries = self === null ? this.#entries : new Map(this.#entries).set(self.connection, self);
    const members = [...entries.values()];
    const users = new Set(members.flatMap(({ user }) => user ?? [])).size;
    return { count: members.length, users, members };
  }

  isSameAs(other: Roster): boolean {
    if (this.size !== other.size) return false;
    for (const [connection, entry] of this.#entries) {
      const same = other.#entries.get(connection);
      if (same === undefined || Buffer.compare(bytesOf(entry), bytesOf(same)) !== 0) return false;
    }
    return true;
  }
}

function bytesOf(entry: PresenceEntry): Uint8Array {
  return msgpackCodec.encode(['presence', '', entry]) as Uint8Array;
}
