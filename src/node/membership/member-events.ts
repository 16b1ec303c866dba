import type { PresenceChange } from '../../backplane/presence.ts';
import { Interval } from '../../util/interval.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import type { Feed } from '../rooms/feed.ts';
import { DataPushes, type DataPushesParts } from './data-pushes.ts';
import type { Roster } from './roster.ts';

/** How long changes of a large room are collected into one push. */
const COALESCE_MS = 1_000;

export interface MemberEventsParts extends DataPushesParts {
  /** Rooms with more members get counts instead of names. */
  readonly detailedMembers: number;
  readonly scheduler: Scheduler;
  /** Members of a large room are named again. */
  smallAgain(feed: Feed): void;
  /** How often the members of a room have changed. */
  version(feed: Feed): number;
  /** Changes since this version add up to nothing: whoever was told of the members in between knows another count. */
  addedUp(feed: Feed, since: number, count: number): void;
}

/** How a large room has changed since its members were last told. */
interface Summary {
  /** What members were told last, or how many there were before the first change where they were told nothing yet. */
  readonly before: number;
  /** Before the first change. */
  readonly version: number;
  count: number;
}

/** Tells members about each other, in rooms with member events. */
export class MemberEvents {
  readonly #parts: MemberEventsParts;
  readonly #data: DataPushes;
  readonly #summaries = new Map<Feed, Summary>();
  readonly #telling: Interval;

  constructor(parts: MemberEventsParts) {
    this.#parts = parts;
    this.#data = new DataPushes(parts);
    this.#telling = new Interval(parts.scheduler, COALESCE_MS, () => this.#tellSummaries());
  }

  /** Returns whether members are told by name. `flush` must follow. */
  add(feed: Feed, { change, who, count }: PresenceChange): boolean {
    if (count > this.#parts.detailedMembers || this.#summaries.has(feed)) {
      this.#data.forget(feed);
      if (change !== 'changed') this.#summarise(feed, change, count);
      return false;
    }
    if (change === 'changed') {
      this.#data.add(feed, who);
      return true;
    }
    this.#data.drop(feed, who.connection);
    feed.toldCount = count;
    feed.push(['member', feed.room.name, change, who, count]);
    return true;
  }

  /** All changes that came together were added. */
  flush(): void {
    this.#data.flush();
  }

  /** A room was read: what waits to be told of its members may be older than that. */
  wasRead(feed: Feed, roster: Roster): void {
    this.#data.correct(feed, (connection) => roster.get(connection));
  }

  /** All members know how many are there now. */
  toldAll(feed: Feed, count: number): void {
    feed.toldCount = count;
    this.#summaries.delete(feed);
  }

  /** Nobody is in the room here any more. */
  forget(feed: Feed): void {
    this.#data.forget(feed);
  }

  stop(): void {
    this.#telling.stop();
    this.#data.stop();
  }

  #summarise(feed: Feed, change: 'joined' | 'left', count: number): void {
    const known = this.#summaries.get(feed);
    if (known) known.count = count;
    else {
      // A failover changes the count, too, and nobody tells of that.
      const before = feed.toldCount ?? (change === 'joined' ? count - 1 : count + 1);
      this.#summaries.set(feed, { before, version: this.#parts.version(feed), count });
    }
    this.#telling.start();
  }

  #tellSummaries(): void {
    if (this.#summaries.size === 0) return this.#telling.pause();
    const summaries = [...this.#summaries];
    this.#summaries.clear();
    for (const [feed, { before, version, count }] of summaries) {
      if (count === before) this.#parts.addedUp(feed, version, count);
      else feed.push(['member', feed.room.name, count > before ? 'joined' : 'left', null, count]);
      feed.toldCount = count;
      if (count <= this.#parts.detailedMembers) this.#parts.smallAgain(feed);
    }
  }
}
