/** Denials in the memory of the one process that is the whole broker. */
import type { Clock } from '../../util/clock.ts';
import { SHUTTING_DOWN, unavailable } from '../backplane.ts';
import { type Denial, type DenialList, type Denials, MAX_DENIALS } from '../denials.ts';

/** When a denial ends, on the clock's `nowMs`, and whether it was lifted before. */
export interface KeptDenial {
  readonly endMs: number;
  readonly isLifted: boolean;
}

export class MemoryDenials implements Denials {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #entries: Map<string, KeptDenial>;
  #isClosed = false;

  /** `entries`: what outlives it. */
  constructor(clock: Clock, most = MAX_DENIALS, entries = new Map<string, KeptDenial>()) {
    this.#clock = clock;
    this.#most = most;
    this.#entries = entries;
  }

  async deny(subject: string, forMs: number): Promise<boolean> {
    this.#checkOpen();
    this.sweep();
    if (this.#entries.size >= this.#most && !this.#entries.has(subject)) return false;
    this.#set(subject, forMs, false);
    return true;
  }

  async lift(subject: string, leftMs: number): Promise<void> {
    this.#checkOpen();
    const endMs = this.#entries.get(subject)?.endMs ?? 0;
    this.#set(subject, Math.max(leftMs, endMs - this.#clock.nowMs()), true);
  }

  async read(): Promise<DenialList> {
    this.#checkOpen();
    this.sweep();
    const nowMs = this.#clock.nowMs();
    const denied: Denial[] = [];
    const lifted: string[] = [];
    for (const [subject, { endMs, isLifted }] of this.#entries) {
      if (isLifted) lifted.push(subject);
      else denied.push({ subject, leftMs: endMs - nowMs });
    }
    return { denied, lifted };
  }

  async restore(denials: readonly Denial[]): Promise<void> {
    this.#checkOpen();
    this.sweep();
    for (const { subject, leftMs } of denials) {
      if (!this.#entries.has(subject)) this.#set(subject, leftMs, false);
    }
  }

  /** Drops what has ended. */
  sweep(): void {
    const nowMs = this.#clock.nowMs();
    for (const [subject, { endMs }] of this.#entries) if (endMs <= nowMs) this.#entries.delete(subject);
  }

  close(): void {
    this.#isClosed = true;
  }

  clear(): void {
    this.#entries.clear();
  }

  #set(subject: string, forMs: number, isLifted: boolean): void {
    this.#entries.set(subject, { endMs: this.#clock.nowMs() + forMs, isLifted });
  }

  #checkOpen(): void {
    if (this.#isClosed) throw unavailable('denials', SHUTTING_DOWN);
  }
}
