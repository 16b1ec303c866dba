/** Who is in which room, in Redis: assembles the parts for it. */
import { systemScheduler } from '../../../util/scheduler.ts';
import { type Place, SHUTTING_DOWN, unavailable } from '../../backplane.ts';
import type {
  OwnEntry,
  Presence,
  PresenceChange,
  PresenceEntry,
  PresenceEvents,
  PresencePage,
  RoomsPage,
} from '../../presence.ts';
import { packWho, unpackWho } from '../../presence-event.ts';
import type { Peers } from '../link/peers.ts';
import { errorFromCall } from '../link/redis-errors.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import { membersScript } from '../scripts/scripts.ts';
import { EmptiedRooms } from './emptied-rooms.ts';
import { Lease } from './lease.ts';
import { type PresenceParts, STAGE } from './presence-parts.ts';
import { PresenceQueue } from './presence-queue.ts';
import { PresenceWriter } from './presence-writer.ts';
import { scanRooms } from './room-scan.ts';
import { Sweeper } from './sweeper.ts';

export interface RedisPresenceOptions extends PresenceParts {
  /** About how long the entries of a node outlive it. */
  readonly leaseMs: number;
  /** Why leases cannot be renewed now, or null. */
  problem(place: Place): string | null;
  /** Of the store as a whole. */
  incarnation(): string;
  /** How long rooms stay on the node's list after it has left them: see `EmptiedRooms`. */
  readonly emptiedMs: number;
  /** Resolves when what was published in the room before the call has arrived. Rejects with `BackplaneError`. */
  heard(room: string): Promise<void>;
}

const CLOSE_TIMEOUT_MS = 1_000;
/** An entry in the store starts with the term of its node's lease. */
const TERM_BYTES = 4;

export class RedisPresence implements Presence {
  readonly #options: RedisPresenceOptions;
  readonly #queue = new PresenceQueue();
  readonly #lease: Lease;
  readonly #writer: PresenceWriter;
  readonly #sweeper: Sweeper;
  readonly #emptied: EmptiedRooms;
  #events: PresenceEvents | null = null;
  /** Entries up to this term that were not entered again are to be removed; 0: there are none. */
  #sweepUpTo = 0;
  #isSweeping = false;
  #isStopped = false;

  constructor(options: RedisPresenceOptions) {
    this.#options = options;
    this.#emptied = new EmptiedRooms(options.emptiedMs, (room) => this.#queue.mayHave(room));
    this.#sweeper = new Sweeper({
      ...options,
      emptied: (rooms) => {
        for (const room of rooms) this.#emptied.add(room, systemScheduler.nowMs());
      },
    });
    this.#lease = new Lease({
      ...options,
      lost: () => this.#leaseLost(),
      renewed: (lapsed) => {
        this.#sweeper.offer(lapsed);
        this.#writer.wake();
        this.#writer.unregister();
        void this.#sweepOwn();
      },
    });
    this.#writer = new PresenceWriter({
      ...options,
      queue: this.#queue,
      lease: this.#lease,
      emptied: this.#emptied,
      // A store that took over may be written to before the renewal that shows it.
      mustSweep: () => this.#sweepUpTo > 0 || !this.#lease.isOfThisStore,
    });
  }

  async start(events: PresenceEvents): Promise<void> {
    this.#events = events;
    await this.#lease.start();
  }

  enter(room: string, entry: OwnEntry, announce: boolean): void {
    if (this.#isStopped) return;
    this.#queue.push(room, entry.connection, packWho(entry), announce);
    this.#writer.wake();
  }

  leave(room: string, entry: OwnEntry, announce: boolean): void {
    if (this.#isStopped) return;
    this.#queue.push(room, entry.connection, null, announce);
    this.#writer.wake();
  }

  async list(room: string, limit: number, after: string | null = null): Promise<PresencePage> {
    if (this.#isStopped) throw unavailable(STAGE, SHUTTING_DOWN);
    const { shards, keys, metrics } = this.#options;
    const read = async (shard: ShardAccess) => {
      await this.#writer.flushed(room);
      const roomKeys = [keys.presence(room), keys.presenceUsers(room), keys.presenceOrder(room)];
      const reply = await membersScript.call(shard, roomKeys, [limit, after ?? ''], metrics);
      const [count, users, more, ...fields] = reply as [number, number, number, ...Buffer[]];
      const last = fields.at(-2)?.toString() ?? after ?? '';
      return { count, users, members: this.#entries(fields), next: more === 1 ? last : null };
    };
    return shards.askRead(room, read, STAGE);
  }

  async view(room: string, limit: number): Promise<PresencePage> {
    const page = await this.list(room, limit);
    // The page came over another link than the changes, and may have overtaken some that it contains.
    await this.#options.heard(room);
    return page;
  }

  async rooms(limit: number): Promise<RoomsPage> {
    if (this.#isStopped) throw unavailable(STAGE, SHUTTING_DOWN);
    await this.#writer.flushed(null);
    return scanRooms(await this.#lease.nodes(), limit, this.#options);
  }

  async nodes(): Promise<readonly string[]> {
    if (this.#isStopped) throw unavailable(STAGE, SHUTTING_DOWN);
    return this.#lease.nodes();
  }

  /** As the last renewal of the lease showed them. */
  get peers(): Peers {
    return this.#lease.peers;
  }

  async close(): Promise<void> {
    if (this.#isStopped) return;
    const deadline = AbortSignal.timeout(CLOSE_TIMEOUT_MS);
    const late = new Promise<never>((_, reject) => {
      deadline.addEventListener('abort', () => reject(unavailable(STAGE, 'redis did not answer in time')));
    });
    try {
      await Promise.race([this.#giveUpLease(), late]);
    } catch (cause) {
      const { message } = errorFromCall(cause, STAGE);
      this.#options.log.warn({ error: message }, 'cannot release the presence lease: it will lapse');
    }
    this.stop();
  }

  /** Stops silently: to the other nodes this one looks dead, and they sweep it when its lease lapses. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#sweeper.stop();
    this.#lease.stop();
    this.#writer.stop();
  }

  /** The links changed: Redis may be back. */
  available(): void {
    if (this.#isStopped || this.#events === null || this.#options.problem(null) !== null) return;
    // Wakes the writer when it is answered.
    void this.#lease.renew();
  }

  /** An event of a room that this node is subscribed to arrived. */
  arrived(room: string, changes: readonly PresenceChange[]): void {
    this.#events?.changed(room, changes);
  }

  async #giveUpLease(): Promise<void> {
    await this.#writer.flushed(null);
    if (this.#queue.hasStored) throw unavailable(STAGE, 'some connections have not left');
    this.#writer.unregister();
    await this.#lease.release();
  }

  #leaseLost(): void {
    this.#queue.unregister();
    this.#sweepUpTo = this.#lease.term - 1;
    this.#events?.leaseLost();
  }

  /**
   * After all members were entered again, under the new term: what is left of earlier terms are members whose leave the store lost.
   * Nobody else removes them while this node lives. Tried again with each renewal.
   */
  async #sweepOwn(): Promise<void> {
    const upTo = this.#sweepUpTo;
    if (upTo === 0 || this.#isSweeping || this.#isStopped) return;
    this.#isSweeping = true;
    try {
      await this.#writer.flushed(null);
      await this.#sweeper.sweepOwn(upTo);
      if (this.#sweepUpTo !== upTo) return;
      this.#sweepUpTo = 0;
      this.#writer.unregister();
    } catch (error) {
      const { message } = errorFromCall(error, STAGE);
      this.#options.log.debug({ error: message }, 'cannot remove entries of an earlier lease yet');
    } finally {
      this.#isSweeping = false;
    }
  }

  /** Counts malformed entries and leaves them out. */
  #entries(fields: readonly Buffer[]): PresenceEntry[] {
    const entries: PresenceEntry[] = [];
    for (let i = 0; i < fields.length; i += 2) {
      const entry = unpackWho(fields[i]!.toString(), fields[i + 1]!.subarray(TERM_BYTES));
      if (entry === null) this.#options.metrics.malformedEnvelope();
      else entries.push(entry);
    }
    return entries;
  }
}
