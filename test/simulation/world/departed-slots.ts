/**
 * Slots that left a server. A node that is away meanwhile finds them at their new master when it is back, and knows that nothing was lost
 * only while the former one is as it was: if that one started again, or another took over from it, rooms begin anew, as documented.
 */
import type { Owner } from './loop.ts';

export interface DepartedSlotsOptions {
  readonly nowMs: () => number;
  /** Nodes that run. */
  readonly nodes: () => readonly Owner[];
}

interface Departure<Server> {
  readonly slot: number;
  readonly source: Server;
  readonly atMs: number;
}

/** Nodes read each second who has which slots, and then settle what moved. */
const NOTICE_MS = 2_000;
/** Links of a node that was away come up again, which takes longer. */
const RETURN_MS = 6_000;

export class DepartedSlots<Server> {
  readonly #options: DepartedSlotsOptions;
  #departures: Departure<Server>[] = [];

  constructor(options: DepartedSlotsOptions) {
    this.#options = options;
  }

  note(slot: number, source: Server): void {
    this.#departures.push({ slot, source, atMs: this.#options.nowMs() });
  }

  /** Something happens to a server: slots that some node may still take to be there. Those that all nodes know of do not count any more. */
  unnoticed(source: Server): number[] {
    const missed = this.#departures.filter((one) => one.source === source && this.#isMissed(one));
    this.#departures = this.#departures.filter((one) => one.source !== source);
    return missed.map(({ slot }) => slot);
  }

  #isMissed({ atMs }: Departure<Server>): boolean {
    const nowMs = this.#options.nowMs();
    return this.#options
      .nodes()
      .some(
        ({ frozenAtMs, thawedAtMs }) => frozenAtMs <= atMs + NOTICE_MS && nowMs <= thawedAtMs + RETURN_MS,
      );
  }
}
