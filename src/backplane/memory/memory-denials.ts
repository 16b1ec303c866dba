/** Denials in the memory of the one process that is the whole broker. */
import type { Clock } from '../../util/clock.ts';
import { SHUTTING_DOWN, unavailable } from '../backplane.ts';
import { type Denial, type Denials, MAX_DENIALS } from '../denials.ts';

/** When a denial ends, on the clock's `nowMs`, and whether it was lifted before. */
export interface KeptDenial {
  readonly endMs: number;
  readonly isLifted: boolean;
  readonly changedAtMs: number;
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

  async deny(subject: string, forMs: number, afterMs = 0): Promise<number | null> {
    this.#checkOpen();
    this.sweep();
    if (this.#entries.size >= this.#most && !this.#entries.has(subject)) return null;
    return this.#change(subject, forMs, false, afterMs);
  }

  async lift(subject: string, leftMs: number, afterMs = 0): Promise<number> {
    this.#checkOpen();
    const endMs = this.#entries.get(subject)?.endMs ?? 0;
    return this.#change(subject, Math.max(leftMs, endMs - this.#clock.nowMs()), true, afterMs);
  }

  async read(): Promise<readonly Denial[]> {
    this.#checkOpen();
    this.sweep();
    const nowMs = this.#clock.nowMs();
    return [...this.#entries].map(([subject, { endMs, isLifted, changedAtMs }]) => {
      return { subject, leftMs: endMs - nowMs, isLifted, changedAtMs };
    });
  }

  async restore(denials: readonly Denial[]): Promise<void> {
    this.#checkOpen();
    this.sweep();
    const nowMs = this.#clock.nowMs();
    for (const { subject, leftMs, isLifted, changedAtMs } of denials) {
      const known = this.#entries.get(subject);
      if (known !== undefined && known.changedAtMs >= changedAtMs) continue;
      this.#entries.set(subject, { endMs: nowMs + leftMs, isLifted, changedAtMs });
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

  #change(subject: string, forMs: number, isLifted: boolean, afterMs: number): number {
    const before = this.#entries.get(subject)?.changedAtMs ?? 0;
    const changedAtMs = Math.max(Math.floor(this.#clock.wallMs()), before + 1, afterMs + 1);
    this.#entries.set(subject, { endMs: this.#clock.nowMs() + forMs, isLifted, changedAtMs });
    return changedAtMs;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw unavailable('denials', SHUTTING_DOWN);
  }
}
