/** What a node knows of who is denied what, in memory, and how it is found. */
import type { KeptOut } from '../auth/authorize.ts';
import type { Identity } from '../auth/identity.ts';
import type { Revocations } from '../auth/token-gate.ts';
import { REVOCATION_KINDS, type RevocationKindLabel, zeros } from '../metrics/labels.ts';
import type { Scheduler } from '../util/scheduler.ts';
import { isOlder, type Revoked, revokedOf, revokedSubject, subjectsOf } from './revoked.ts';

/** What this node knows of a subject. */
export interface Known {
  /** When the denial ends, or would have ended, by the scheduler's `nowMs`. */
  readonly endMs: number;
  readonly isLifted: boolean;
  /** As in `Denial`. */
  readonly changedAtMs: number;
}

/** A user or a token that is revoked, and for how much longer. */
export interface Revocation extends Revoked {
  readonly leftMs: number;
}

/** Marks what a subject is about. Others may follow: a node passes on those that it does not know. */
const ROOM_MARK = 'r:';

/** A user in a room, as a subject of `Denials`. No room has a `*` in its name. */
export function memberSubject(room: string, user: string): string {
  return `${ROOM_MARK}${room}*${user}`;
}

/** Null for a subject of another kind. */
export function memberOf(subject: string): { readonly room: string; readonly user: string } | null {
  const at = subject.indexOf('*');
  if (!subject.startsWith(ROOM_MARK) || at === -1) return null;
  return { room: subject.slice(ROOM_MARK.length, at), user: subject.slice(at + 1) };
}

export function isDenied(known: Known | null | undefined): known is Known {
  return known !== null && known !== undefined && !known.isLifted;
}

export class DenialTable implements KeptOut, Revocations {
  readonly #scheduler: Pick<Scheduler, 'nowMs'>;
  /** By subject. What was lifted is kept as long as in the store, which may lose it. */
  #known = new Map<string, Known>();
  /** When denials of rooms end: by user, then by room. A lookup allocates nothing, and most users are in none. */
  #byUser = new Map<string, Map<string, number>>();
  /** Of users whose tokens of before a time are revoked: those times. */
  #oldTokens = new Map<string, Set<number>>();
  #keptOut = 0;
  #revoked = zeros(REVOCATION_KINDS);

  constructor(scheduler: Pick<Scheduler, 'nowMs'>) {
    this.#scheduler = scheduler;
  }

  /** By subject, those that have ended too. */
  get known(): ReadonlyMap<string, Known> {
    return this.#known;
  }

  /** Pairs of a user and a room. */
  get keptOutCount(): number {
    return this.#keptOut;
  }

  /** How many of those pairs are of rooms that `covers` names. Looks at all of them. */
  keptOutOf(covers: (room: string) => boolean): number {
    let count = 0;
    for (const rooms of this.#byUser.values()) for (const room of rooms.keys()) if (covers(room)) count++;
    return count;
  }

  /** Users and tokens that are revoked. */
  get counts(): Readonly<Record<RevocationKindLabel, number>> {
    return this.#revoked;
  }

  leftMs(user: string, room: string): number {
    const endMs = this.#byUser.get(user)?.get(room);
    return endMs === undefined ? 0 : Math.max(0, endMs - this.#scheduler.nowMs());
  }

  isRevoked(identity: Identity): boolean {
    if (this.#revoked.user === 0 && this.#revoked.token === 0) return false;
    return subjectsOf(identity).some((subject) => this.leftMsOf(subject) > 0) || this.#isOldToken(identity);
  }

  #isOldToken(identity: Identity): boolean {
    const times = this.#oldTokens.get(identity.user);
    if (times === undefined) return false;
    return [...times].some((issuedBeforeMs) => {
      const subject = revokedSubject({ kind: 'user', id: identity.user, issuedBeforeMs });
      return isOlder(identity, issuedBeforeMs) && this.leftMsOf(subject) > 0;
    });
  }

  /** All of them, or those of one user or token: empty where it is not revoked. The longest known first. */
  revocations(of: Revoked | null): Revocation[] {
    const subjects = of === null ? this.#known.keys() : this.subjectsAbout(of);
    const list: Revocation[] = [];
    for (const subject of subjects) {
      const revoked = revokedOf(subject);
      const leftMs = this.leftMsOf(subject);
      if (revoked !== null && leftMs > 0) list.push({ ...revoked, leftMs });
    }
    return list;
  }

  /** Of a user also those that let in tokens of after a time. */
  subjectsAbout({ kind, id }: Revoked): string[] {
    const times = kind === 'user' ? [...(this.#oldTokens.get(id) ?? [])] : [];
    const old = times.map((issuedBeforeMs) => revokedSubject({ kind, id, issuedBeforeMs }));
    return [revokedSubject({ kind, id }), ...old];
  }

  /** Milliseconds until a denial ends, as far as this node knows; 0 for none. */
  leftMsOf(subject: string): number {
    const known = this.#known.get(subject);
    return known === undefined || known.isLifted ? 0 : Math.max(0, known.endMs - this.#scheduler.nowMs());
  }

  /** In place of all that was known. */
  replace(known: ReadonlyMap<string, Known>): void {
    this.#known = new Map();
    this.#byUser = new Map();
    this.#oldTokens = new Map();
    this.#keptOut = 0;
    this.#revoked = zeros(REVOCATION_KINDS);
    for (const [subject, one] of known) this.set(subject, one);
  }

  /** `known` null: nothing is known of it any more. */
  set(subject: string, known: Known | null): void {
    const before = this.#known.get(subject);
    const revoked = revokedOf(subject);
    const more = Number(isDenied(known)) - Number(isDenied(before));
    if (revoked === null) this.#keptOut += more;
    else this.#revoked[revoked.kind] += more;
    if (known === null) this.#known.delete(subject);
    else this.#known.set(subject, known);
    const endMs = isDenied(known) ? known.endMs : null;
    if (revoked?.issuedBeforeMs !== undefined)
      this.#indexOldTokens(revoked.id, revoked.issuedBeforeMs, endMs);
    this.#index(subject, endMs);
  }

  #indexOldTokens(user: string, issuedBeforeMs: number, endMs: number | null): void {
    const times = this.#oldTokens.get(user) ?? new Set<number>();
    if (endMs === null) times.delete(issuedBeforeMs);
    else times.add(issuedBeforeMs);
    if (times.size === 0) this.#oldTokens.delete(user);
    else this.#oldTokens.set(user, times);
  }

  #index(subject: string, endMs: number | null): void {
    const member = memberOf(subject);
    if (member === null) return;
    const rooms = this.#byUser.get(member.user) ?? new Map<string, number>();
    if (endMs === null) rooms.delete(member.room);
    else rooms.set(member.room, endMs);
    if (rooms.size === 0) this.#byUser.delete(member.user);
    else this.#byUser.set(member.user, rooms);
  }
}
