/**
 * The lineage of each partition, as this node found it on the server that has the partition now. Nothing is published,
 * numbered or read before it is settled; all nodes agree, since a record in the partition itself decides.
 */
import type { Logger } from '../../../util/log.ts';
import { unavailable } from '../../backplane.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import type { Peers } from '../link/peers.ts';
import { type Replication, readReplication, type ServerAddress } from '../link/replication.ts';
import { beatScript } from '../scripts/scripts.ts';
import { decide, doubtOf, hasLostRecord, lineageOf, lineageOfRun, type Others } from './decide.ts';
import { Evidence } from './evidence.ts';
import { FormerPrimary, type FormerPrimaryOptions } from './former-primary.ts';
import { type LineageRecord, readRecord } from './record.ts';
import { type Change, isSettled, OWED, type Part, type RecordServer, Records } from './records.ts';
import { type Court, Witnesses } from './witnesses.ts';

export interface LineagesOptions extends FormerPrimaryOptions {
  /** Exactly eight ASCII characters. */
  readonly nodeId: string;
  readonly keys: Keys;
  readonly log: Logger;
  readonly metrics: BackplaneMetrics;
  /** The other nodes that live. */
  peers(): Peers;
}

/** A server, as a link to it has just found it. */
export interface FoundServer extends RecordServer {
  /** Its reply to INFO. */
  readonly info: string;
  readonly address: ServerAddress;
}

/** Asks the other primaries of a cluster: those that answer. */
export type OtherPrimaries = () => Promise<readonly Replication[]>;

interface Settled extends Change {
  readonly stored: string;
}

/** Other nodes settle the same records: then theirs count. */
const TRIES = 5;
const nobody: OtherPrimaries = () => Promise.resolve([]);

export class Lineages {
  readonly #options: LineagesOptions;
  readonly #former: FormerPrimary;
  readonly #witnesses: Witnesses;
  readonly #records: Records;
  /** By the run that it is about. */
  readonly #evidence = new Map<string, Evidence>();
  readonly #byPart = new Map<Part, LineageRecord>();
  /** The one that all partitions have, or null if they differ. */
  #common: string | null = '';
  /** What is doubted of a promotion, null for nothing: the same for all partitions, and until their records are stored. */
  readonly #handovers = new Map<string, string | null>();
  #generation = 0;
  /** Ids of servers on which something was settled. */
  readonly #known = new Set<string>();
  /** Decided, and not stored: their server refuses writes. */
  readonly #owed = new Set<Part>();
  /** Ids of servers whose promotion was counted. */
  readonly #promotions = new Set<string>();

  constructor(options: LineagesOptions) {
    this.#options = options;
    this.#former = new FormerPrimary(options);
    this.#witnesses = new Witnesses(options);
    this.#records = new Records(options);
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

  /** Of all that is stored together: another one when some of what this node wrote may be gone. */
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
   * Looks again while a link is up: a server takes another replication id when its first replica comes, and records must
   * know it before that replica is promoted. And another node may have found that the server lacks something. Resolves with why the
   * link must be made anew, or with null.
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
    for (const ids of [this.#known, this.#promotions])
      for (const id of ids) if (!homes.has(id)) ids.delete(id);
    if (this.#owed.size === 0) this.#handovers.clear();
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
    const changes = await this.#sure(
      server,
      facts,
      await this.#decideAll(server, facts, found, around),
      around,
    );
    if (changes === null) return [...parts];
    const stored = await this.#records.store(server, changes);
    if (!server.isCurrent()) throw unavailable('connect', 'the link was lost');
    const left: Part[] = [];
    const settled = changes.flatMap((change, i) => {
      if (isSettled(stored[i]!, change)) return [{ ...change, stored: stored[i]! }];
      left.push(change.part);
      return [];
    });
    this.#take(settled, facts, around);
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
    const homes = new Map(
      records.flatMap(([, record]) => (record === null ? [] : [[record.runId, record.home]])),
    );
    for (const [runId, home] of homes) {
      if (home === facts.id || primaries.some(({ id }) => id === home)) continue;
      const left = await this.#former.primary(runId);
      if (left !== null) primaries.push(left);
    }
    return primaries;
  }

  /** Then nothing of others matters. */
  #isWhereItWas(part: Part, record: LineageRecord | null, { id, runId }: Replication): boolean {
    return record?.home === id && (this.#byPart.get(part)?.runId ?? runId) === runId;
  }

  async #decideAll(
    server: FoundServer,
    facts: Replication,
    found: ReadonlyMap<Part, string>,
    others: Others,
  ): Promise<Change[]> {
    const changes: Change[] = [];
    for (const [part, text] of found) {
      const before = readRecord(text);
      const isForced = hasLostRecord(before, this.#byPart.get(part), facts, others);
      const { lineage, ...how } = isForced
        ? {
            lineage: lineageOfRun(facts),
            isProved: false,
            why: 'everything was deleted before it started again',
          }
        : await this.#lineageOf(part, before, server, facts, others);
      const next = { home: facts.id, runId: facts.runId, lineage };
      changes.push({ part, found: text, before, next, isForced, ...how });
    }
    return changes;
  }

  async #lineageOf(
    part: Part,
    before: LineageRecord | null,
    server: FoundServer,
    facts: Replication,
    others: Others,
  ): Promise<Pick<Change, 'isProved' | 'why'> & { readonly lineage: string }> {
    const earlier = this.#byPart.get(part);
    const isFlushed = before === null && facts.runId !== '' && earlier?.runId === facts.runId;
    if (isFlushed) return { lineage: earlier.lineage, isProved: false, why: null };
    const verdict = decide(before, facts, others);
    if (verdict !== 'ask') {
      const stays = verdict.lineage === (before?.lineage ?? '');
      const why = stays ? null : 'no server that is known had this data before';
      return { lineage: verdict.lineage, isProved: false, why };
    }
    const why = await this.#doubtsOfHandover(before!, facts, server);
    const isProved = why === null;
    return { lineage: isProved ? before!.lineage : lineageOf(facts), isProved, why };
  }

  /**
   * Makes sure that the server has everything, where a lineage would go on after it started again. Null: another node has decided
   * meanwhile.
   */
  async #sure(
    server: FoundServer,
    facts: Replication,
    changes: readonly Change[],
    others: Others,
  ): Promise<readonly Change[] | null> {
    const doubts = new Map(
      changes.flatMap((change) => {
        if (change.isProved || change.before?.lineage !== change.next.lineage) return [];
        const doubt = doubtOf(change.before, this.#byPart.get(change.part), facts, others);
        return doubt === 'none' ? [] : [[change, doubt] as const];
      }),
    );
    if (doubts.size === 0) return changes;
    const court = courtOf(
      server,
      facts,
      changes.map(({ part }) => part),
    );
    const kinds = new Set(doubts.values());
    let why = await this.#lack(court, [...doubts.keys()]);
    if (why === null && (kinds.has('strange') || kinds.has('compare'))) {
      await beatScript.load(server);
      const finding = await (kinds.has('strange')
        ? this.#witnesses.othersDecide(court)
        : this.#witnesses.agree(court));
      if (finding === 'decided') return null;
      if (finding !== 'complete') why = `nodes did not say what they know: ${finding.silent.join(', ')}`;
    }
    if (why === null) return changes;
    const lineage = lineageOfRun(facts);
    return changes.map((change) =>
      doubts.has(change) ? { ...change, next: { ...change.next, lineage }, isForced: true, why } : change,
    );
  }

  /** What is missing that this node knows of, or null. */
  async #lack(court: Court, changes: readonly Change[]): Promise<string | null> {
    const runIds = new Set(changes.map(({ part }) => this.#byPart.get(part)?.runId));
    for (const runId of runIds) {
      if (runId === undefined || runId === court.runId) continue;
      const lack = await this.#witnesses.lack(court, this.evidenceOf(runId));
      if (lack !== null) return lack;
    }
    return null;
  }

  async #doubtsOfHandover(
    record: LineageRecord,
    facts: Replication,
    server: FoundServer,
  ): Promise<string | null> {
    const name = `${record.home} ${record.runId} ${facts.id}`;
    const earlier = this.#handovers.get(name);
    if (earlier !== undefined) return earlier;
    const latest = async () => readReplication(await server.redis.info());
    const doubts = await this.#former.doubts(record, facts, latest);
    this.#handovers.set(name, doubts);
    return doubts;
  }

  #take(changes: readonly Settled[], facts: Replication, others: Others): void {
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
    this.#tell(changes, facts, begun);
  }

  /** Once for each server: its partitions may be settled one after the other. */
  #countPromotion(earlier: LineageRecord, { lineage }: LineageRecord, { id, previousId }: Replication): void {
    if (previousId === '' || earlier.home !== previousId || this.#promotions.has(id)) return;
    this.#promotions.add(id);
    this.#options.metrics.promotion(lineage === earlier.lineage ? 'planned' : 'unplanned');
  }

  #tell(changes: readonly Change[], { previousId }: Replication, begun: number): void {
    const { log } = this.#options;
    const isForced = changes.some((change) => change.isForced);
    const why = changes.find((change) => change.why !== null)?.why ?? 'another node said so';
    const wasPromoted = changes.some(({ before }) => before !== null && before.home === previousId);
    if (begun > 0) {
      log.warn(
        { partitions: begun, why },
        `redis ${isForced ? 'started again' : 'was promoted'} and may lack the newest messages: rooms get new epochs`,
      );
    } else if (wasPromoted) log.info({}, 'redis was promoted and lacks nothing: rooms go on');
  }
}

/** Nodes that have the same map take the same partition. */
function courtOf(
  { redis, isCluster, isCurrent }: Omit<FoundServer, 'info'>,
  { runId }: Replication,
  parts: readonly Part[],
): Court {
  const part = parts.includes(null) ? null : Math.min(...parts.map(Number));
  return { redis, isCluster, isCurrent, runId, part };
}

/** Whether what this node wrote where it last saw the partition may be gone: a server that started again may lack the newest, too. */
function mayLack(earlier: LineageRecord, now: LineageRecord, facts: Replication, others: Others): boolean {
  if (earlier.lineage !== now.lineage) return true;
  if (earlier.runId === now.runId) return false;
  const wasHandedOver = facts.previousId !== '' && facts.previousId === earlier.home;
  return !wasHandedOver && !others.primaries.some(({ runId }) => runId === earlier.runId);
}
