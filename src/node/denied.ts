import type { KeptOut } from '../auth/authorize.ts';
import type { Identity } from '../auth/identity.ts';
import type { Revocations } from '../auth/token-gate.ts';
import type { Denial, Denials } from '../backplane/denials.ts';
import type { RevocationKindLabel } from '../metrics/labels.ts';
import type { Logger } from '../util/log.ts';
import type { Scheduler, Timer } from '../util/scheduler.ts';
import { DenialTable, isDenied, type Known, memberOf, type Revocation } from './denial-table.ts';
import { type Revoked, revokedOf } from './revoked.ts';

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

/** How long until a copy that could not be made is tried again. */
const RETRY_MS = 1_000;
/** All nodes may give back to the store what it lost, at about the same time. */
const READ_AGAIN_MS = 100;
/**
 * What has ended is dropped at this pace; nobody asks for it any more. The list is also read anew: so a store that lost its data
 * without a lost link gets it back, and a message that got lost is made up for.
 */
const SWEEP_MS = 60_000;

/**
 * This node's copy of all denials, so that joins and publishes ask it at once. It is made at the start and
 * after each lost link; in between, control messages keep it up to date.
 */
export class Denied implements KeptOut, Revocations {
  readonly #parts: DeniedParts;
  readonly #table: DenialTable;
  /** What was said while a copy is being made; null while none is. */
  #meanwhile: Map<string, Known | null> | null = null;
  #sweptAtMs = 0;
  #retry: Timer | null = null;
  #isStopped = false;
  #isDue = false;

  constructor(parts: DeniedParts) {
    this.#parts = parts;
    this.#table = new DenialTable(parts.scheduler);
  }

  /** Pairs of a user and a room. */
  get keptOutCount(): number {
    return this.#table.keptOutCount;
  }

  /** How many of those pairs are of rooms that `covers` names. Looks at all of them. */
  keptOutOf(covers: (room: string) => boolean): number {
    return this.#table.keptOutOf(covers);
  }

  /** Users and tokens that are revoked. */
  get counts(): Readonly<Record<RevocationKindLabel, number>> {
    return this.#table.counts;
  }

  leftMs(user: string, room: string): number {
    return this.#table.leftMs(user, room);
  }

  isRevoked(identity: Identity): boolean {
    return this.#table.isRevoked(identity);
  }

  /** See `DenialTable.revocations`. */
  revocations(of: Revoked | null): Revocation[] {
    return this.#table.revocations(of);
  }

  /** When the subject was last denied or lifted, as far as this node knows; 0 for never. */
  changedAtMs(subject: string): number {
    return this.#table.known.get(subject)?.changedAtMs ?? 0;
  }

  /** As a control message said. `changedAtMs`: as the store said, null from a node of a version that does not tell. */
  deny(subject: string, forMs: number, changedAtMs: number | null = null): void {
    this.#change(subject, { endMs: this.#parts.scheduler.nowMs() + forMs, isLifted: false }, changedAtMs);
  }

  /** The same of a denial that was ended early. */
  lift(subject: string, changedAtMs: number | null = null): void {
    const before = this.#table.known.get(subject);
    this.#change(subject, before && { endMs: before.endMs, isLifted: true }, changedAtMs);
  }

  /** All of a user, or that of a token. */
  endRevocations(of: Revoked, changedAtMs: number | null = null): void {
    for (const subject of this.#table.subjectsAbout(of)) this.lift(subject, changedAtMs);
  }

  /** `change` undefined: lifted, and nothing was known of it. Two changes may come in another order than they were made. */
  #change(subject: string, change: Omit<Known, 'changedAtMs'> | undefined, atMs: number | null): void {
    const beforeMs = this.changedAtMs(subject);
    if (atMs !== null && atMs < beforeMs) return;
    const known = change && { ...change, changedAtMs: atMs ?? beforeMs };
    this.#table.set(subject, known ?? null);
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
    const before = this.#table.known;
    const { known, lost } = merged(before, stored, meanwhile, nowMs);
    this.#table.replace(known);
    // One that has ended says nothing: its user may have been back since.
    for (const subject of known.keys())
      if (this.#table.leftMsOf(subject) > 0) this.#learnedUnless(before.get(subject), subject);
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
    for (const [subject, { endMs }] of this.#table.known) if (endMs <= nowMs) this.#table.set(subject, null);
    this.load().catch((error: unknown) => {
      this.#parts.log.debug({ error }, 'cannot read who is kept out now: later again');
    });
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
