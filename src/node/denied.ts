import type { KeptOut } from '../auth/authorize.ts';
import type { Denial, Denials } from '../backplane/denials.ts';
import type { Logger } from '../util/log.ts';
import type { Scheduler, Timer } from '../util/scheduler.ts';

export interface DeniedParts {
  readonly denials: Denials;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  /** A user is kept out of a room, and this node did not know it: it was cut off when that was said. */
  readonly learned: (room: string, user: string) => void;
}

/** How long until a copy that could not be made is tried again. */
const RETRY_MS = 1_000;
/** What has ended is dropped at this pace; nobody asks for it any more. */
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
export class Denied implements KeptOut {
  readonly #parts: DeniedParts;
  /** When each ends, by the scheduler's `nowMs`. */
  #ends = new Map<string, number>();
  /** The same for rooms: by user, then by room. A lookup allocates nothing, and most users are in none. */
  #byUser = new Map<string, Map<string, number>>();
  /** What was said while a copy is being made; null while none is. */
  #meanwhile: Map<string, number | null> | null = null;
  #sweptAtMs = 0;
  #retry: Timer | null = null;
  #isStopped = false;

  constructor(parts: DeniedParts) {
    this.#parts = parts;
  }

  get count(): number {
    return this.#ends.size;
  }

  leftMs(user: string, room: string): number {
    const endMs = this.#byUser.get(user)?.get(room);
    return endMs === undefined ? 0 : Math.max(0, endMs - this.#parts.scheduler.nowMs());
  }

  /** As a control message said. */
  deny(subject: string, forMs: number): void {
    this.#set(subject, this.#parts.scheduler.nowMs() + forMs);
  }

  lift(subject: string): void {
    this.#set(subject, null);
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
    const lost = lostOf(known, new Set([...denied.map(({ subject }) => subject), ...lifted]), nowMs);
    this.#ends = new Map([...denied, ...lost].map(({ subject, leftMs }) => [subject, nowMs + leftMs]));
    this.#byUser = new Map();
    for (const [subject, endMs] of this.#ends) this.#index(subject, endMs);
    for (const [subject, endMs] of meanwhile) this.#set(subject, endMs);
    // One that has ended says nothing: its user may have been back since.
    for (const subject of this.#ends.keys()) if ((known.get(subject) ?? 0) <= nowMs) this.#learned(subject);
    if (lost.length > 0) await denials.restore(lost);
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

  /** Called now and then: drops what has ended. */
  sweep(): void {
    const nowMs = this.#parts.scheduler.nowMs();
    if (nowMs - this.#sweptAtMs < SWEEP_MS) return;
    this.#sweptAtMs = nowMs;
    for (const [subject, endMs] of this.#ends) if (endMs <= nowMs) this.#set(subject, null);
  }

  /** `endMs` null: it is not denied. */
  #set(subject: string, endMs: number | null): void {
    this.#meanwhile?.set(subject, endMs);
    if (endMs === null) this.#ends.delete(subject);
    else this.#ends.set(subject, endMs);
    this.#index(subject, endMs);
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
