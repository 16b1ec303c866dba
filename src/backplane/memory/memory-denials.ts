/** Denials in the memory of the one process that is the whole broker: they end with it. */
import type { Clock } from '../../util/clock.ts';
import { SHUTTING_DOWN, unavailable } from '../backplane.ts';
import { type Denial, type DenialList, type Denials, MAX_DENIALS } from '../denials.ts';

export class MemoryDenials implements Denials {
  readonly #clock: Clock;
  /** When each ends, on the clock's `nowMs`, and whether it was lifted before. */
  readonly #entries = new Map<string, { readonly endMs: number; readonly isLifted: boolean }>();
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async deny(subject: string, forMs: number): Promise<boolean> {
    this.#checkOpen();
    this.sweep();
    if (this.#entries.size >= MAX_DENIALS && !this.#entries.has(subject)) return false;
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
    this.#entries.clear();
  }

  #set(subject: string, forMs: number, isLifted: boolean): void {
    this.#entries.set(subject, { endMs: this.#clock.nowMs() + forMs, isLifted });
  }

  #checkOpen(): void {
    if (this.#isClosed) throw unavailable('denials', SHUTTING_DOWN);
  }
}
