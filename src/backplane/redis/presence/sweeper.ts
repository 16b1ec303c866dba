import type { BackplaneError, Place } from '../../backplane.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import { claimScript, forgetScript, releaseScript, sweepScript } from '../scripts/scripts.ts';
import { type PresenceParts, STAGE } from './presence-parts.ts';

export interface SweeperOptions extends PresenceParts {
  /** How long a claim lives without being prolonged. */
  readonly leaseMs: number;
  /** How long a room stays on the list of a node that is swept: see `EmptiedRooms`. */
  readonly emptiedMs: number;
  /** Rooms of this node's own list that were swept, where they stay on it. */
  emptied(rooms: readonly string[]): void;
  /** Entries to look at in one call. Default 256: well below a millisecond of Redis's time. */
  readonly stepEntries?: number;
}

/**
 * Which rooms a sweep takes off the list of their node: all, those in which it found nothing, or none. On a cluster a node is swept a second
 * time, to remove what a failover has brought back.
 */
type Forgets = 'all' | 'clean' | 'none';

/** A claimed lease. Its record proves that the claim is still ours; null for the node's own lease. */
interface Claim {
  readonly node: string;
  readonly term: number;
  record: string | null;
  beat: number;
  readonly forgets: Forgets;
}

interface RoomToSweep {
  readonly room: string;
  readonly announce: boolean;
  cursor: string;
}

/** Rooms whose steps are sent together. Each is a separate call, so others get their turns in between. */
const ROOMS_AT_ONCE = 64;
const STEP_ENTRIES = 256;
/** In place of the claimer: the node was swept, and nobody sweeps it now. */
const SWEPT = 'swept';

export class Sweeper {
  readonly #options: SweeperOptions;
  #isBusy = false;
  #isStopped = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /**
   * Nodes whose leases have lapsed, with their records. A sweep in progress finishes first; they will be
   * offered again.
   */
  offer(lapsed: ReadonlyMap<string, string>): void {
    if (this.#isBusy || this.#isStopped || lapsed.size === 0) return;
    this.#isBusy = true;
    // Handles its own errors.
    void this.#sweepAll(lapsed).finally(() => {
      this.#isBusy = false;
    });
  }

  /**
   * Removes what this node entered up to a term and did not enter again since. Rejects with a `BackplaneError`; may be called
   * again.
   */
  async sweepOwn(term: number): Promise<void> {
    const forgets = this.#keepsLists ? 'none' : 'all';
    await this.#sweepRooms({ node: this.#options.nodeId, term, record: null, beat: 0, forgets });
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #sweepAll(lapsed: ReadonlyMap<string, string>): Promise<void> {
    for (const [node, record] of lapsed) {
      try {
        await this.#sweep(node, record);
      } catch (error) {
        // The claim lapses, and the node is offered again, here and to the others.
        this.#options.log.warn(
          { node, error: (error as BackplaneError).message },
          'sweep of a dead node stopped early',
        );
      }
    }
  }

  async #sweep(node: string, seen: string): Promise<void> {
    const { metrics, log, emptiedMs } = this.#options;
    const [term, beat, , claimer] = seen.split(':');
    const forgets = !this.#keepsLists ? 'all' : claimer === SWEPT ? 'clean' : 'none';
    const claim: Claim = { node, term: Number(term) || 0, record: seen, beat: Number(beat) || 0, forgets };
    if (!(await this.#prolong(claim))) return;
    // A node that stopped has claimed its own lease.
    if (claimer !== SWEPT && claimer !== node) metrics.claimMade();
    const swept = await this.#sweepRooms(claim);
    if (swept === null) return;
    if (forgets === 'all' || (forgets === 'clean' && swept === 0)) await this.#release(claim);
    else await this.#prolong(claim, emptiedMs, SWEPT);
    if (swept > 0) log.info({ node, entries: swept }, 'presence entries of a dead node removed');
  }

  /** On a cluster, for a while: see `EmptiedRooms`. */
  get #keepsLists(): boolean {
    return this.#options.emptiedMs > 0;
  }

  /** Makes the claim, or prolongs it. False if it is not ours. */
  async #prolong(claim: Claim, forMs = this.#options.leaseMs, by = this.#options.nodeId): Promise<boolean> {
    if (this.#isStopped) return false;
    if (claim.record === null) return true;
    const next = `${claim.term}:${++claim.beat}:${forMs}:${by}`;
    const args = [claim.node, claim.record, next];
    const reply = await this.#script(null, claimScript, [this.#options.keys.leases()], args);
    claim.record = next;
    return reply === 1;
  }

  /** How many entries were removed, or null if the claim was lost. */
  async #sweepRooms(claim: Claim): Promise<number | null> {
    const { shards, keys } = this.#options;
    let swept = 0;
    let cursor = '0';
    do {
      const at = cursor;
      const scan = ({ redis }: ShardAccess) =>
        redis.hscan(keys.nodeRooms(claim.node), at, 'COUNT', ROOMS_AT_ONCE);
      const [next, fields] = await shards.ask(null, scan, STAGE);
      cursor = next;
      for (let i = 0; i < fields.length; i += 2 * ROOMS_AT_ONCE) {
        const count = await this.#sweepPage(claim, roomsOf(fields.slice(i, i + 2 * ROOMS_AT_ONCE)));
        if (count === null) return null;
        swept += count;
      }
    } while (cursor !== '0');
    return swept;
  }

  /** One step in each room in turn, until all are done. */
  async #sweepPage(claim: Claim, page: readonly RoomToSweep[]): Promise<number | null> {
    let swept = 0;
    const found = new Set<string>();
    for (let rooms = page; rooms.length > 0; rooms = rooms.filter(({ cursor }) => cursor !== '0')) {
      const counts = await Promise.all(rooms.map((room) => this.#step(claim, room)));
      for (const [i, count] of counts.entries()) {
        swept += count;
        if (count > 0) found.add(rooms[i]!.room);
      }
      this.#options.metrics.entriesSwept(counts.reduce((sum, count) => sum + count, 0));
      if (!(await this.#prolong(claim))) return null;
    }
    const rooms = page.map(({ room }) => room);
    if (claim.forgets === 'all') await this.#forget(claim, rooms);
    else if (claim.forgets === 'clean')
      await this.#forget(
        claim,
        rooms.filter((room) => !found.has(room)),
      );
    else if (claim.record === null) this.#options.emptied(rooms);
    return swept;
  }

  async #forget({ node, term }: Claim, rooms: readonly string[]): Promise<void> {
    if (rooms.length === 0) return;
    await this.#script(null, forgetScript, [this.#options.keys.nodeRooms(node)], [term, ...rooms]);
  }

  async #release({ node, record }: Claim): Promise<void> {
    const { keys } = this.#options;
    await this.#script(null, releaseScript, [keys.leases(), keys.nodeRooms(node)], [node, record ?? '']);
  }

  async #step(claim: Claim, target: RoomToSweep): Promise<number> {
    const { keys, stepEntries = STEP_ENTRIES } = this.#options;
    const { room, announce, cursor } = target;
    const roomKeys = [
      keys.presence(room),
      keys.presenceUsers(room),
      keys.presenceOrder(room),
      keys.channel(room),
    ];
    const args = [`${claim.node}-`, claim.term, announce ? '1' : '0', cursor, stepEntries];
    const reply = await this.#script(room, sweepScript, roomKeys, args);
    const [next, removed] = reply as [Buffer, number];
    target.cursor = next.toString();
    return removed;
  }

  #script(
    place: Place,
    script: typeof claimScript,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const { shards, metrics } = this.#options;
    return shards.ask(place, (shard) => script.call(shard, keys, args, metrics), STAGE);
  }
}

/** What a node wrote when it registered its rooms: `<term>:<1 if announced>`. */
function roomsOf(fields: readonly string[]): RoomToSweep[] {
  const rooms: RoomToSweep[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    rooms.push({ room: fields[i]!, announce: fields[i + 1]!.endsWith(':1'), cursor: '0' });
  }
  return rooms;
}
