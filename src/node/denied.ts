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

/** What this node knows of a subject. */
interface Known {
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
  /** By subject. What was lifted is kept as long as in the store, which may lose it. */
  #known = new Map<string, Known>();
  /** When denials of rooms end: by user, then by room. A lookup allocates nothing, and most users are in none. */
  #byUser = new Map<string, Map<string, number>>();
  /** Of users whose tokens of before a time are revoked: those times. */
  #oldTokens = new Map<string, Set<number>>();
  /** What was said while a copy is being made; null while none is. */
  #meanwhile: Map<string, Known | null> | null = null;
  #keptOut = 0;
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
    const subjects = of === null ? this.#known.keys() : this.#subjectsAbout(of);
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
    const known = this.#known.get(subject);
    return known === undefined || known.isLifted
      ? 0
      : Math.max(0, known.endMs - this.#parts.scheduler.nowMs());
  }

  /** When the subject was last denied or lifted, as far as this node knows; 0 for never. */
  changedAtMs(subject: string): number {
    return this.#known.get(subject)?.changedAtMs ?? 0;
  }

  /** As a control message said. `changedAtMs`: as the store said, null from a node of a version that does not tell. */
  deny(subject: string, forMs: number, changedAtMs: number | null = null): void {
    this.#change(subject, { endMs: this.#parts.scheduler.nowMs() + forMs, isLifted: false }, changedAtMs);
  }

  /** The same of a denial that was ended early. */
  lift(subject: string, changedAtMs: number | null = null): void {
    const before = this.#known.get(subject);
    this.#change(subject, before && { endMs: before.endMs, isLifted: true }, changedAtMs);
  }

  /** All of a user, or that of a token. */
  endRevocations(of: Revoked, changedAtMs: number | null = null): void {
    for (const subject of this.#subjectsAbout(of)) this.lift(subject, changedAtMs);
  }

  /** `change` undefined: lifted, and nothing was known of it. Two changes may come in another order than they were made. */
  #change(subject: string, change: Omit<Known, 'changedAtMs'> | undefined, atMs: number | null): void {
    const beforeMs = this.changedAtMs(subject);
    if (atMs !== null && atMs < beforeMs) return;
    const known = change && { ...change, changedAtMs: atMs ?? beforeMs };
    this.#set(subject, known ?? null);
    this.#meanwhile?.set(subject, known ?? null);
  }

  /**
   * Copies the store's list, and gives back to the store what it lost. Rejects with `BackplaneError`: the copy
   * is then what it was.
   */
  async load(): Promise<void> {
    const { denials, scheduler } = this.#parts;
    const meanwhile = new Map<string, Known | null>();
    this.#meanwhile = meanwhile;
    const stored = await denials.read();
    // A later one replaces it.
    if (this.#meanwhile !== meanwhile) return;
    this.#meanwhile = null;
    const nowMs = scheduler.nowMs();
    const before = this.#known;
    const { known, lost } = merged(before, stored, meanwhile, nowMs);
    this.#replace(known);
    // One that has ended says nothing: its user may have been back since.
    for (const subject of known.keys())
      if (this.#left(subject) > 0) this.#learnedUnless(before.get(subject), subject);
    if (lost.length === 0) return;
    await denials.restore(lost);
    this.#parts.restored();
  }

  #replace(known: ReadonlyMap<string, Known>): void {
    this.#known = new Map();
    this.#byUser = new Map();
    this.#oldTokens = new Map();
    this.#keptOut = 0;
    this.#revoked = zeros(REVOCATION_KINDS);
    for (const [subject, one] of known) this.#set(subject, one);
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
    for (const [subject, { endMs }] of this.#known) if (endMs <= nowMs) this.#set(subject, null);
    this.load().catch((error: unknown) => {
      this.#parts.log.debug({ error }, 'cannot read who is kept out now: later again');
    });
  }

  /** `known` null: nothing is known of it any more. */
  #set(subject: string, known: Known | null): void {
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

  /** Unless this node knew already that it is denied. */
  #learnedUnless(before: Known | undefined, subject: string): void {
    if (isDenied(before) && before.endMs > this.#parts.scheduler.nowMs()) return;
    const member = memberOf(subject);
    if (member !== null) this.#parts.learned(member.room, member.user);
    const revoked = revokedOf(subject);
    if (revoked !== null) this.#parts.learnedRevoked(revoked);
  }
}

function isDenied(known: Known | null | undefined): known is Known {
  return known !== null && known !== undefined && !known.isLifted;
}

/**
 * The latest change of each subject, of those that the store has and those that a node knows, and what the store has lost: it
 * has an earlier change, or none. What was said `meanwhile` was stored before it was said.
 */
function merged(
  known: ReadonlyMap<string, Known>,
  stored: readonly Denial[],
  meanwhile: ReadonlyMap<string, Known | null>,
  nowMs: number,
): { readonly known: Map<string, Known>; readonly lost: Denial[] } {
  const all = new Map<string, Known>();
  for (const { subject, leftMs, isLifted, changedAtMs } of stored) {
    all.set(subject, { endMs: nowMs + leftMs, isLifted, changedAtMs });
  }
  const lost: Denial[] = [];
  for (const [subject, one] of known) {
    const other = all.get(subject);
    if (one.endMs <= nowMs || (other !== undefined && other.changedAtMs >= one.changedAtMs)) continue;
    all.set(subject, one);
    const { endMs, ...what } = one;
    // Nobody needs to be let in where nobody is kept out.
    const isLost = other !== undefined || !one.isLifted;
    if (isLost && !meanwhile.has(subject)) lost.push({ subject, leftMs: endMs - nowMs, ...what });
  }
  for (const [subject, one] of meanwhile) {
    if (one === null) all.delete(subject);
    else all.set(subject, one);
  }
  return { known: all, lost };
}
