import type { KeptOut } from '../auth/authorize.ts';
import type { Identity } from '../auth/identity.ts';
import type { Revocations } from '../auth/token-gate.ts';
import type { Denial, Denials } from '../backplane/denials.ts';
import { REVOCATION_KINDS, type RevocationKindLabel, zeros } from '../metrics/labels.ts';
import type { Logger } from '../util/log.ts';
import type { Scheduler, Timer } from '../util/scheduler.ts';
import { isOlder, type Revoked, revokedOf, revokedSubject, subjectsOf } from './revoked.ts';

export interface DeniedParts {
  readonly denials: Denials;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  /** A user is kept out of a room, and this node did not know it: it was cut off when that was said. */
  readonly learned: (room: string, user: string) => void;
  /** A user or a token is revoked, and this node did not know it. */
  readonly learnedRevoked: (revoked: Revoked) => void;
  /** The store has got back what it had lost: other nodes may have read it before. */
  readonly restored: () => void;
}

/** A user or a token that is revoked, and for how much longer. */
export interface Revocation extends Revoked {
  readonly leftMs: number;
}

/** How long until a copy that could not be made is tried again. */
const RETRY_MS = 1_000;
/** All nodes may give back to the store what it lost, at about the same time. */
const READ_AGAIN_MS = 100;
/**
 * What has ended is dropped at this pace; nobody asks for it any more. The list is also read anew: so a store that lost its data
 * without a lost link gets it back, and a message that got lost is made up for.
 */
const SWEEP_MS = 60_000;
/** Marks what a subject is about. Others may follow: a node passes on those that it does not know. */
const ROOM_MARK = 'r:';

/** A user in a room, as a subject of `Denials`. No room has a `*` in its name. */
export function memberSubject(room: string, user: string): string {
  return `${ROOM_MARK}${room}*${user}`;
}

/** Null for a subject of another kind. */
function memberOf(subject: string): { readonly room: string; readonly user: string } | null {
  const at = subject.indexOf('*');
  if (!subject.startsWith(ROOM_MARK) || at === -1) return null;
  return { room: subject.slice(ROOM_MARK.length, at), user: subject.slice(at + 1) };
}

/**
 * This node's copy of all denials, so that joins and publishes ask it at once. It is made at the start and
 * after each lost link; in between, control messages keep it up to date.
 */
export class Denied implements KeptOut, Revocations {
  readonly #parts: DeniedParts;
  /** When each ends, by the scheduler's `nowMs`. */
  #ends = new Map<string, number>();
  /** The same for rooms: by user, then by room. A lookup allocates nothing, and most users are in none. */
  #byUser = new Map<string, Map<string, number>>();
  /** Of users whose tokens of before a time are revoked: those times. */
  #oldTokens = new Map<string, Set<number>>();
  /** What was said while a copy is being made; null while none is. */
  #meanwhile: Map<string, number | null> | null = null;
  #revoked = zeros(REVOCATION_KINDS);
  #sweptAtMs = 0;
  #retry: Timer | null = null;
  #isStopped = false;
  #isDue = false;

  constructor(parts: DeniedParts) {
    this.#parts = parts;
  }

  /** Pairs of a user and a room. */
  get keptOutCount(): number {
    return this.#ends.size - this.#revoked.user - this.#revoked.token;
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
    return endMs === undefined ? 0 : Math.max(0, endMs - this.#parts.scheduler.nowMs());
  }

  isRevoked(identity: Identity): boolean {
    if (this.#revoked.user === 0 && this.#revoked.token === 0) return false;
    return subjectsOf(identity).some((subject) => this.#left(subject) > 0) || this.#isOldToken(identity);
  }

  #isOldToken(identity: Identity): boolean {
    const times = this.#oldTokens.get(identity.user);
    if (times === undefined) return false;
    return [...times].some((issuedBeforeMs) => {
      const subject = revokedSubject({ kind: 'user', id: identity.user, issuedBeforeMs });
      return isOlder(identity, issuedBeforeMs) && this.#left(subject) > 0;
    });
  }

  /** All of them, or those of one user or token: empty where it is not revoked. The longest known first. */
  revocations(of: Revoked | null): Revocation[] {
    const subjects = of === null ? this.#ends.keys() : this.#subjectsAbout(of);
    const list: Revocation[] = [];
    for (const subject of subjects) {
      const revoked = revokedOf(subject);
      const leftMs = this.#left(subject);
      if (revoked !== null && leftMs > 0) list.push({ ...revoked, leftMs });
    }
    return list;
  }

  /** Of a user also those that let in tokens of after a time. */
  #subjectsAbout({ kind, id }: Revoked): string[] {
    const times = kind === 'user' ? [...(this.#oldTokens.get(id) ?? [])] : [];
    const old = times.map((issuedBeforeMs) => revokedSubject({ kind, id, issuedBeforeMs }));
    return [revokedSubject({ kind, id }), ...old];
  }

  /** Milliseconds until a denial ends, as far as this node knows; 0 for none. */
  #left(subject: string): number {
    return Math.max(0, (this.#ends.get(subject) ?? 0) - this.#parts.scheduler.nowMs());
  }

  /** As a control message said. */
  deny(subject: string, forMs: number): void {
    this.#set(subject, this.#parts.scheduler.nowMs() + forMs);
  }

  lift(subject: string): void {
    this.#set(subject, null);
  }

  /** All of a user, or that of a token. */
  endRevocations(of: Revoked): void {
    for (const subject of this.#subjectsAbout(of)) this.lift(subject);
  }

  /**
   * Copies the store's list, and gives back to the store what it lost. Rejects with `BackplaneError`: the copy
   * is then what it was.
   */
  async load(): Promise<void> {
    const { denials, scheduler } = this.#parts;
    const meanwhile = new Map<string, number | null>();
    this.#meanwhile = meanwhile;
    const { denied, lifted } = await denials.read();
    // A later one replaces it.
    if (this.#meanwhile !== meanwhile) return;
    this.#meanwhile = null;
    const nowMs = scheduler.nowMs();
    const known = this.#ends;
    const stored = [...denied.map(({ subject }) => subject), ...lifted];
    // What was said meanwhile was stored before it was said.
    const lost = lostOf(known, new Set([...stored, ...meanwhile.keys()]), nowMs);
    this.#ends = new Map();
    this.#byUser = new Map();
    this.#oldTokens = new Map();
    this.#revoked = zeros(REVOCATION_KINDS);
    for (const { subject, leftMs } of [...denied, ...lost]) this.#set(subject, nowMs + leftMs);
    for (const [subject, endMs] of meanwhile) this.#set(subject, endMs);
    // One that has ended says nothing: its user may have been back since.
    for (const subject of this.#ends.keys()) if ((known.get(subject) ?? 0) <= nowMs) this.#learned(subject);
    if (lost.length === 0) return;
    await denials.restore(lost);
    this.#parts.restored();
  }

  /** Like `load`, again and again until it succeeds, or until `stop`. */
  reload(): void {
    this.#retry?.cancel();
    this.load().catch((error: unknown) => {
      this.#parts.log.debug({ error }, 'cannot read who is kept out yet');
      this.#retry?.cancel();
      if (!this.#isStopped) this.#retry = this.#parts.scheduler.after(RETRY_MS, () => this.reload());
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#retry?.cancel();
  }

  /** The list has changed without a message for each change. One copy is made, however often that is said at once. */
  readAgain(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#parts.scheduler.after(READ_AGAIN_MS, () => {
      this.#isDue = false;
      if (!this.#isStopped) this.reload();
    });
  }

  /** Called now and then: drops what has ended, and makes a new copy. */
  sweep(): void {
    const nowMs = this.#parts.scheduler.nowMs();
    if (nowMs - this.#sweptAtMs < SWEEP_MS) return;
    this.#sweptAtMs = nowMs;
    for (const [subject, endMs] of this.#ends) if (endMs <= nowMs) this.#set(subject, null);
    this.load().catch((error: unknown) => {
      this.#parts.log.debug({ error }, 'cannot read who is kept out now: later again');
    });
  }

  /** `endMs` null: it is not denied. */
  #set(subject: string, endMs: number | null): void {
    this.#meanwhile?.set(subject, endMs);
    const revoked = revokedOf(subject);
    if (revoked !== null && this.#ends.has(subject) !== (endMs !== null)) {
      this.#revoked[revoked.kind] += endMs === null ? -1 : 1;
    }
    if (endMs === null) this.#ends.delete(subject);
    else this.#ends.set(subject, endMs);
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

  #learned(subject: string): void {
    const member = memberOf(subject);
    if (member !== null) this.#parts.learned(member.room, member.user);
    const revoked = revokedOf(subject);
    if (revoked !== null) this.#parts.learnedRevoked(revoked);
  }
}

/** What this node knows and the store does not. */
function lostOf(known: ReadonlyMap<string, number>, stored: ReadonlySet<string>, nowMs: number): Denial[] {
  const lost: Denial[] = [];
  for (const [subject, endMs] of known) {
    if (endMs > nowMs && !stored.has(subject)) lost.push({ subject, leftMs: endMs - nowMs });
  }
  return lost;
}
