/**
 * The lineage of each partition on the server that has it now. Nothing is published, numbered or read before the lineage is
 * settled. All nodes agree on it, because it is recorded in the partition itself.
 */
import type { Logger } from '../../../util/log.ts';
import { shownAddress } from '../../../util/redis-url.ts';
import { unavailable } from '../../backplane.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import type { Peers } from '../link/peers.ts';
import { type Replication, readReplication } from '../link/replication.ts';
import { beatScript } from '../scripts/scripts.ts';
import { asPrimary, type Others } from './decide.ts';
import { Evidence } from './evidence.ts';
import { FormerPrimary, type FormerPrimaryOptions } from './former-primary.ts';
import { Inquiry, type Scene } from './inquiry.ts';
import { type LineageRecord, readRecord } from './record.ts';
import { type Change, type FoundServer, isSettled, OWED, type Part, Records } from './records.ts';
import { courtOf, Witnesses } from './witnesses.ts';

export interface LineagesOptions extends FormerPrimaryOptions {
  /** Exactly eight ASCII characters. */
  readonly nodeId: string;
  readonly keys: Keys;
  readonly log: Logger;
  readonly metrics: BackplaneMetrics;
  /** The other nodes that live. */
  peers(): Peers;
}

/** Asks the other primaries of a cluster: those that answer. */
export type OtherPrimaries = () => Promise<readonly Replication[]>;

interface Settled extends Change {
  readonly stored: string;
}

/** Ids of servers, besides those that have something. */
const MOST_KNOWN = 16;
/** Other nodes settle the same records: then theirs count. */
const TRIES = 5;
const nobody: OtherPrimaries = () => Promise.resolve([]);

export class Lineages {
  readonly #options: LineagesOptions;
  readonly #former: FormerPrimary;
  readonly #witnesses: Witnesses;
  readonly #inquiry: Inquiry;
  readonly #records: Records;
  /** By the run that it is about. */
  readonly #evidence = new Map<string, Evidence>();
  readonly #byPart = new Map<Part, LineageRecord>();
  /** The one that all partitions have, or null if they differ. */
  #common: string | null = '';
  #generation = 0;
  /** Ids of servers on which something was settled. An id ends with the next promotion, so one that has nothing now may get something again. */
  readonly #known = new Set<string>();
  /** Partitions whose lineage is decided but not stored, since their server refuses writes. */
  readonly #owed = new Set<Part>();
  /** Ids of servers whose promotion was counted. */
  readonly #promotions = new Set<string>();

  constructor(options: LineagesOptions) {
    this.#options = options;
    this.#former = new FormerPrimary(options);
    this.#witnesses = new Witnesses(options);
    this.#records = new Records(options);
    this.#inquiry = new Inquiry({
      former: this.#former,
      witnesses: this.#witnesses,
      earlier: this.#byPart,
      evidenceOf: (runId) => this.evidenceOf(runId),
    });
  }

  /** Of a room's partition, or with null of the leases and denials. '' for one that no promotion began. */
  of(room: string | null): string {
    return (
      this.#common ??
      this.#byPart.get(room === null ? null : this.#options.keys.partitionOf(room))?.lineage ??
      ''
    );
  }

  /** The lineage of all partitions, or null if they differ. */
  get common(): string | null {
    return this.#common;
  }

  /** Changes when some of what this node wrote may be gone, in any partition. */
  get incarnation(): string {
    return String(this.#generation);
  }

  /** Where it is noted what this run of a server has stored. Asked again each time that something was settled with it. */
  evidenceOf(runId: string): Evidence {
    let evidence = this.#evidence.get(runId);
    if (evidence === undefined) {
      evidence = new Evidence(runId);
      this.#evidence.set(runId, evidence);
    }
    return evidence;
  }

  /**
   * Settles these partitions, all by default, with the server that has them now. Resolves when `of` tells their lineages. Takes up
   * to a second after a promotion. Rejects with a `BackplaneError` if the server does not answer, or refuses to store that a lineage began.
   */
  async settle(
    server: FoundServer,
    parts: readonly Part[] = this.all(),
    others: OtherPrimaries = nobody,
  ): Promise<void> {
    const facts = readReplication(server.info);
    let left = parts;
    for (let i = 0; left.length > 0; i++) {
      if (i === TRIES) throw unavailable('connect', 'other nodes keep changing the lineage of partitions');
      left = await this.#settleOnce(server, facts, left, others);
    }
    this.#known.add(facts.id);
    this.#former.remember(facts.runId, server.address);
    this.#forget();
    await beatScript.load(server);
    await this.#beat(server, facts, parts);
  }

  /**
   * Checks the records while a link is up. A server gets another replication id when its first replica connects, and the records must
   * have it before that replica is promoted. Also, another node may have found that the server lacks something. Resolves with the reason
   * to connect anew, or with null.
   */
  async review(
    server: Omit<FoundServer, 'info'>,
    parts: readonly Part[] = this.all(),
    others: OtherPrimaries = nobody,
  ): Promise<string | null> {
    const info = await server.redis.info();
    const facts = readReplication(info);
    const { id, previousId, isReplica } = facts;
    if (isReplica) return 'this Redis became a read-only replica';
    const isElsewhere = parts.some((part) => this.#byPart.get(part)?.home !== id);
    if (isElsewhere && previousId !== '') return 'this Redis was promoted';
    const isDue = isElsewhere || parts.some((part) => this.#owed.has(part));
    if (isDue || (await this.#isOutdated(server, parts)))
      await this.settle({ ...server, info }, parts, others);
    else await this.#beat(server, facts, parts);
    return null;
  }

  /** Whether another node began a lineage of one of them, or a record is gone: with all data, or it was deleted. */
  async #isOutdated(server: Pick<FoundServer, 'redis'>, parts: readonly Part[]): Promise<boolean> {
    const found = await this.#records.read(server, parts);
    return parts.some((part) => {
      const stored = readRecord(found.get(part) ?? null);
      if (stored === null) return true;
      return stored.lineage !== '' && stored.lineage !== this.#byPart.get(part)?.lineage;
    });
  }

  async #beat(server: Omit<FoundServer, 'info'>, facts: Replication, parts: readonly Part[]): Promise<void> {
    if (facts.runId === '' || parts.length === 0) return;
    await this.#witnesses.beat(courtOf(server, facts, parts), this.evidenceOf(facts.runId));
  }

  all(): Part[] {
    return [...Array.from({ length: this.#options.keys.partitions }, (_, i) => i), null];
  }

  /** Of servers that have nothing any more. */
  #forget(): void {
    const homes = new Set([...this.#byPart.values()].map(({ home }) => home));
    for (const id of this.#promotions) if (!homes.has(id)) this.#promotions.delete(id);
    for (const id of this.#known) {
      if (this.#known.size <= MOST_KNOWN) break;
      if (!homes.has(id)) this.#known.delete(id);
    }
    if (this.#owed.size === 0) this.#inquiry.forget();
    const runIds = new Set([...this.#byPart.values()].map(({ runId }) => runId));
    this.#former.keep(runIds);
    for (const runId of this.#evidence.keys()) if (!runIds.has(runId)) this.#evidence.delete(runId);
  }

  /** Returns the parts whose records another node changed meanwhile. */
  async #settleOnce(
    server: FoundServer,
    facts: Replication,
    parts: readonly Part[],
    others: OtherPrimaries,
  ): Promise<Part[]> {
    const found = await this.#records.read(server, parts);
    const around = {
      primaries: await this.#primaries(found, facts, others),
      isKnown: this.#known.has(facts.id),
    };
    const changes = await this.#inquiry.changes({ server, facts, others: around }, found);
    if (changes === null) return [...parts];
    const stored = await this.#records.store(server, changes);
    if (!server.isCurrent()) throw unavailable('connect', 'the link was lost');
    const left: Part[] = [];
    const settled = changes.flatMap((change, i) => {
      if (isSettled(stored[i]!, change)) return [{ ...change, stored: stored[i]! }];
      left.push(change.part);
      return [];
    });
    this.#take(settled, { server, facts, others: around });
    return left;
  }

  /** The other primaries, if they matter: those of the map, and those that have nothing any more since it moved here. */
  async #primaries(
    found: ReadonlyMap<Part, string>,
    facts: Replication,
    others: OtherPrimaries,
  ): Promise<readonly Replication[]> {
    const records = [...found].map(([part, text]) => [part, readRecord(text)] as const);
    if (others === nobody || records.every(([part, record]) => this.#isWhereItWas(part, record, facts)))
      return [];
    const primaries = [...(await others())];
    // Where this node knew it last, which may be long ago, and where it was last.
    const known = records.flatMap(([part, record]) => [this.#byPart.get(part) ?? null, record]);
    const homes = new Map(known.flatMap((one) => (one === null ? [] : [[one.runId, one.home]])));
    for (const [runId, home] of homes) {
      if (home === facts.id || primaries.some(({ id }) => id === home)) continue;
      const said = await this.#former.said(runId);
      const left = said === null ? null : asPrimary(said, home, facts);
      if (left !== null) primaries.push(left);
    }
    return primaries;
  }

  /** Then nothing of others matters. */
  #isWhereItWas(part: Part, record: LineageRecord | null, { id, runId }: Replication): boolean {
    return record?.home === id && (this.#byPart.get(part)?.runId ?? runId) === runId;
  }

  #take(changes: readonly Settled[], { server, facts, others }: Scene): void {
    let begun = 0;
    let hasLost = false;
    for (const { part, before, next, stored } of changes) {
      const earlier = this.#byPart.get(part);
      const record = { ...next, lineage: (readRecord(stored) ?? next).lineage };
      this.#byPart.set(part, record);
      if (stored === OWED) this.#owed.add(part);
      else this.#owed.delete(part);
      const last = earlier ?? before;
      if (last !== null && last.lineage !== record.lineage) begun++;
      if (earlier === undefined) continue;
      this.#countPromotion(earlier, record, facts);
      hasLost ||= mayLack(earlier, record, facts, others);
    }
    const all = new Set([...this.#byPart.values()].map(({ lineage }) => lineage));
    this.#common = all.size > 1 ? null : ([...all][0] ?? '');
    if (hasLost) this.#generation++;
    this.#tell(changes, shownAddress(server.address), facts, begun);
  }

  /** Once for each server: its partitions may be settled one after the other. */
  #countPromotion(earlier: LineageRecord, { lineage }: LineageRecord, { id, previousId }: Replication): void {
    if (previousId === '' || earlier.home !== previousId || this.#promotions.has(id)) return;
    this.#promotions.add(id);
    this.#options.metrics.promotion(lineage === earlier.lineage ? 'planned' : 'unplanned');
  }

  #tell(changes: readonly Change[], address: string, { previousId }: Replication, begun: number): void {
    const { log } = this.#options;
    const isForced = changes.some((change) => change.isForced);
    const why = changes.find((change) => change.why !== null)?.why ?? 'another node said so';
    const wasPromoted = changes.some(({ before }) => before !== null && before.home === previousId);
    if (begun > 0) {
      log.warn(
        { address, partitions: begun, why },
        `redis ${isForced ? 'started again' : 'was promoted'} and may lack the newest messages: rooms get new epochs`,
      );
    } else if (wasPromoted) log.info({ address }, 'redis was promoted and lacks nothing: rooms go on');
  }
}

/** Whether what this node wrote where it last saw the partition may be gone: a server that started again may lack the newest, too. */
function mayLack(earlier: LineageRecord, now: LineageRecord, facts: Replication, others: Others): boolean {
  if (earlier.lineage !== now.lineage) return true;
  if (earlier.runId === now.runId) return false;
  const wasHandedOver = facts.previousId !== '' && facts.previousId === earlier.home;
  return !wasHandedOver && !others.primaries.some(({ runId }) => runId === earlier.runId);
}
