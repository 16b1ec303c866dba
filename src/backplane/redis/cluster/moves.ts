/** Follows the slot map: gives each lane its new master, moves what belongs to it, and closes links to masters that have nothing left. */
import type { Clock } from '../../../util/clock.ts';
import type { Logger } from '../../../util/log.ts';
import type { Place } from '../../backplane.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import type { Part } from '../lineage/records.ts';
import type { ClusterPublishing } from './cluster-publishing.ts';
import type { Lanes } from './lanes.ts';
import type { Masters } from './masters.ts';
import type { Member } from './member.ts';
import { isFailover, type SlotMap } from './slot-map.ts';

const REPLACED = 'another master took over';
/** For a master that was replaced: one that lives answers at once. */
const LAST_ANSWER_MS = 200;

export interface MovesOptions {
  readonly lanes: Lanes;
  readonly masters: Masters;
  readonly publishing: ClusterPublishing;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly metrics: BackplaneMetrics;
  readonly log: Logger;
}

export class Moves {
  readonly #options: MovesOptions;
  #map: SlotMap | null = null;

  constructor(options: MovesOptions) {
    this.#options = options;
  }

  follow(map: SlotMap): void {
    const { lanes, masters } = this.#options;
    const before = this.#map;
    this.#map = map;
    const needed = new Set(lanes.all.map(({ slot }) => map.owner(slot)));
    for (const master of needed) {
      if (master === null) continue;
      const replaced = masters.keepOpen(master, map);
      if (replaced !== null) this.#replace(replaced, masters.of(master.id)!);
    }
    for (const [from, parts] of this.#reroute(map)) this.#moved(from, parts);
    masters.serve(map);
    // A master stays while no other has claimed its lanes, even if the map does not name it: its links may come back.
    for (const member of masters.all) {
      if (lanes.partsOf(member.shard).length === 0) this.#retire(member, before, map);
    }
  }

  /** The server has another address now: the same data, other links. */
  #replace(known: Member, member: Member): void {
    const { lanes, masters } = this.#options;
    const parts = new Set(lanes.partsOf(known.shard));
    for (const part of parts) lanes.ofPart(part).member = member;
    this.#moved(known, parts);
    member.shard.subscriptions.takeOver(known.shard.subscriptions, () => true);
    masters.close(known, 'the server has another address');
  }

  /** Points lanes to their masters. Returns what moved, by the master that had it. */
  #reroute(map: SlotMap): Map<Member, Set<Part>> {
    const { lanes, masters } = this.#options;
    const moved = new Map<Member, Set<Part>>();
    for (const lane of lanes.all) {
      const owner = map.owner(lane.slot);
      const member = owner === null ? null : masters.of(owner.id);
      const former = lane.member;
      // If no master has the slot for a moment, the lane stays with the last one: it keeps the subscriptions, and refuses calls.
      if (member === former || member === null) continue;
      lane.member = member;
      member.shard.forget([lane.part]);
      if (former === null) continue;
      former.shard.forget([lane.part]);
      const parts = moved.get(former) ?? new Set();
      moved.set(former, parts.add(lane.part));
    }
    return moved;
  }

  #moved(from: Member, parts: ReadonlySet<Part>): void {
    const { lanes, keys, publishing, metrics, log } = this.#options;
    publishing.moved(from.shard, new Set([...parts].filter((part) => part !== null)));
    const heirs = new Set([...parts].map((part) => lanes.ofPart(part).member));
    for (const heir of heirs) {
      if (heir === null) continue;
      const isMoved = (place: Place) => {
        const part = place === null ? null : keys.partitionOf(place);
        return parts.has(part) && lanes.ofPart(part).member === heir;
      };
      heir.shard.subscriptions.takeOver(from.shard.subscriptions, isMoved);
    }
    metrics.partitionsMoved(parts.size);
    log.info({ from: from.shard.address, partitions: parts.size }, 'partitions moved to another master');
  }

  /**
   * Ends a member that has no lanes any more. A master that gave its slots away still answers calls in flight. A master that was replaced
   * gets a moment to answer that it did not run them: so a planned failover leaves no outcome unknown.
   */
  #retire(member: Member, before: SlotMap | null, map: SlotMap): void {
    const nowMs = this.#options.clock.nowMs();
    if (member.replacedAtMs === null && before !== null && isFailover(before, map, member.master)) {
      member.replacedAtMs = nowMs;
      member.shard.replaced(REPLACED);
    }
    const isOver = member.replacedAtMs !== null && nowMs - member.replacedAtMs >= LAST_ANSWER_MS;
    if (isOver || !member.shard.isSending(() => true)) this.#options.masters.close(member, REPLACED);
  }
}
