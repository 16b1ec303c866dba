/**
 * This node's lease on its presence entries, renewed many times within its duration, and what renewals show
 * of other nodes.
 *
 * The node trusts its lease for `leaseMs` from sending the last renewal that was answered. The others
 * start to count when they see that renewal, so no one claims a lease that its node still trusts.
 */

import { systemScheduler, type Timer } from '../../../util/scheduler.ts';
import type { BackplaneError } from '../../backplane.ts';
import type { Peers } from '../link/peers.ts';
import { claimScript, leaseScript, releaseScript } from '../scripts/scripts.ts';
import { LeaseWatch } from './lease-watch.ts';
import { type PresenceParts, STAGE } from './presence-parts.ts';

export interface LeaseOptions extends PresenceParts {
  readonly leaseMs: number;
  /** Of the store as a whole; see `Link`. */
  incarnation(): string;
  /** How long the list of rooms of a node that stopped is kept: see `EmptiedRooms`. */
  readonly emptiedMs: number;
  /** The lease was lost, or Redis may have lost entries; there is a new one, with a new term. */
  lost(): void;
  /** A renewal was answered. `lapsed`: dead nodes and their records. */
  renewed(lapsed: ReadonlyMap<string, string>): void;
}

/**
 * A dead node is claimed at most its lease and two of these later: one until its last renewal is seen, one
 * until a node looks after the lease has ended. One small script call per node and second, with the default
 * lease.
 */
const RENEWALS_PER_LEASE = 6;
const GAP_RENEWALS = 3;

export class Lease {
  readonly #options: LeaseOptions;
  readonly #watch: LeaseWatch;
  #timer: Timer | undefined;
  #asking: Promise<void> | null = null;
  #term = 0;
  #beat = 0;
  #record = '';
  /** Of the Redis in which the term began. */
  #incarnation = '';
  #validUntilMs = -Infinity;
  #peers: Peers = { nodes: [], departedAtMs: -Infinity };
  #isStopped = false;
  #isReleased = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
    const { leaseMs } = options;
    this.#watch = new LeaseWatch({ leaseMs, maxGapMs: (leaseMs / RENEWALS_PER_LEASE) * GAP_RENEWALS });
  }

  /** Of the current lease; increases when it was lost. */
  get term(): number {
    return this.#term;
  }

  get peers(): Peers {
    return this.#peers;
  }

  get isValid(): boolean {
    return this.#options.clock.nowMs() < this.#validUntilMs;
  }

  /** Whether the Redis in which the term began still serves, in the same run. */
  get isOfThisStore(): boolean {
    return this.#options.incarnation() === this.#incarnation;
  }

  /** Rejects with a `BackplaneError` if it cannot get the lease. */
  async start(): Promise<void> {
    await this.#ask();
    const intervalMs = this.#options.leaseMs / RENEWALS_PER_LEASE;
    if (!this.#isStopped) this.#timer = systemScheduler.every(intervalMs, () => void this.renew());
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#validUntilMs = -Infinity;
    this.#options.metrics.leaseState(false);
  }

  /** Whether it was answered. Never rejects. */
  async renew(): Promise<boolean> {
    if (this.#isStopped || this.#isReleased) return false;
    try {
      await this.#ask();
      return true;
    } catch (error) {
      // The backplane's status reports the outage; here it is only retried.
      this.#options.log.debug(
        { error: (error as BackplaneError).message },
        'cannot renew the presence lease',
      );
      return false;
    } finally {
      this.#options.metrics.leaseState(this.isValid);
    }
  }

  /**
   * Gives the lease up for good, if the node has no entries left. On a cluster its list of rooms may stay for
   * a while. Rejects with a `BackplaneError`.
   */
  async release(): Promise<void> {
    this.#isReleased = true;
    // A renewal in flight changes the record that the release must name.
    await this.#asking?.catch(() => undefined);
    const { shards, keys, nodeId, metrics, emptiedMs, leaseMs } = this.#options;
    const names = [keys.leases(), keys.nodeRooms(nodeId)];
    const args = [nodeId, this.#record];
    const released = await shards.ask(
      null,
      (shard) => releaseScript.call(shard, names, args, metrics),
      STAGE,
    );
    if (released === 1 || emptiedMs === 0) return;
    // The node claims its own lease. When the claim lapses, other nodes remove what a failover has brought back.
    const kept = [...args, `${this.#term}:${++this.#beat}:${leaseMs}:${nodeId}`];
    await shards.ask(null, (shard) => claimScript.call(shard, [keys.leases()], kept, metrics), STAGE);
  }

  /** Nodes whose leases have not lapsed. Rejects with a `BackplaneError`. */
  async nodes(): Promise<string[]> {
    const { shards, keys, clock } = this.#options;
    const fields = await shards.ask(null, ({ redis }) => redis.hgetall(keys.leases()), STAGE);
    const records = new Map(Object.entries(fields));
    const lapsed = new Set(this.#watch.look(records, clock.nowMs()));
    return [...records]
      .filter(([node, record]) => !isClaimed(record) && !lapsed.has(node))
      .map(([node]) => node);
  }

  /**
   * Calls do not overlap: two at once, as when a link comes up during the start, would take two leases, and one would seem lost.
   */
  #ask(): Promise<void> {
    this.#asking ??= this.#askOnce().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #askOnce(): Promise<void> {
    const { nodeId, shards, keys, clock, metrics, leaseMs } = this.#options;
    const beat = ++this.#beat;
    const kept = `${this.#term}:${beat}:${leaseMs}:`;
    const next = `${this.#term + 1}:${beat}:${leaseMs}:`;
    const sentAtMs = clock.nowMs();
    const incarnation = this.#options.incarnation();
    // A promoted replica or a restarted Redis may lack entries of this term, and may have entries that it removed. So the term is over,
    // even if the lease itself is still there.
    const held = incarnation === this.#incarnation ? this.#term : 0;
    const args = [nodeId, held, kept, next];
    const reply = await shards.ask(
      null,
      (shard) => leaseScript.call(shard, [keys.leases()], args, metrics),
      STAGE,
    );
    if (this.#isStopped) return;
    this.#validUntilMs = sentAtMs + leaseMs;
    const [isHeld, ...fields] = reply as [number, ...Buffer[]];
    this.#record = isHeld === 1 ? kept : next;
    if (isHeld !== 1) this.#began(incarnation);
    const records = recordsOf(fields);
    const lapsed = this.#watch.look(records, clock.nowMs());
    this.#note(records, lapsed);
    const others = lapsed.filter((node) => node !== nodeId);
    this.#options.renewed(new Map(others.map((node) => [node, records.get(node)!])));
  }

  #note(records: ReadonlyMap<string, string>, lapsed: readonly string[]): void {
    const { clock, nodeId } = this.#options;
    const nodes = [...records].flatMap(([node, record]) =>
      node === nodeId || isClaimed(record) || lapsed.includes(node) ? [] : [node],
    );
    const hasDeparted = this.#peers.nodes.some((node) => !nodes.includes(node));
    this.#peers = { nodes, departedAtMs: hasDeparted ? clock.nowMs() : this.#peers.departedAtMs };
  }

  #began(incarnation: string): void {
    this.#term++;
    this.#incarnation = incarnation;
    if (this.#term === 1) return this.#options.metrics.leaseState(true);
    this.#options.metrics.leaseLost();
    this.#options.log.warn({ term: this.#term }, 'lost the presence lease: entering members again');
    this.#options.lost();
  }
}

function recordsOf(fields: readonly Buffer[]): Map<string, string> {
  const records = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) records.set(fields[i]!.toString(), fields[i + 1]!.toString());
  return records;
}

function isClaimed(record: string): boolean {
  return !record.endsWith(':');
}
