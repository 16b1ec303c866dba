/** Finds out which lineage partitions have on a server, with the former primary and the other nodes where it takes them. Changes nothing. */
import { type Replication, readReplication } from '../link/replication.ts';
import { beatScript } from '../scripts/scripts.ts';
import { decide, doubtOf, hasLostRecord, lineageOf, lineageOfRun, type Others } from './decide.ts';
import type { Evidence } from './evidence.ts';
import type { FormerPrimary } from './former-primary.ts';
import { type LineageRecord, readRecord } from './record.ts';
import type { Change, FoundServer, Part } from './records.ts';
import { type Court, courtOf, type Witnesses } from './witnesses.ts';

export interface InquiryOptions {
  readonly former: FormerPrimary;
  readonly witnesses: Witnesses;
  /** The records as this node last knew them. */
  readonly earlier: ReadonlyMap<Part, LineageRecord>;
  /** What this node knows that a run of a server has stored. */
  evidenceOf(runId: string): Evidence;
}

/** Where the partitions are now. */
export interface Scene {
  readonly server: FoundServer;
  /** From the server's reply to INFO. */
  readonly facts: Replication;
  readonly others: Others;
}

type Verdict = Pick<Change, 'isForced' | 'isProved' | 'why'> & { readonly lineage: string };

const CERTAIN = { isForced: false, isProved: false, why: null };

export class Inquiry {
  readonly #options: InquiryOptions;
  /** What is doubted of a promotion, null for nothing: the same for all partitions, and until their records are stored. */
  readonly #handovers = new Map<string, string | null>();

  constructor(options: InquiryOptions) {
    this.#options = options;
  }

  /** The records to write, given those that were `found`. Null: another node has decided meanwhile. */
  async changes(scene: Scene, found: ReadonlyMap<Part, string>): Promise<readonly Change[] | null> {
    const { id: home, runId } = scene.facts;
    const changes: Change[] = [];
    for (const [part, text] of found) {
      const before = readRecord(text);
      const { lineage, ...how } = await this.#verdict(part, before, scene);
      changes.push({ part, found: text, before, next: { home, runId, lineage }, ...how });
    }
    return this.#verify(scene, changes);
  }

  /** What it learnt of promotions, once their records are stored. */
  forget(): void {
    this.#handovers.clear();
  }

  async #verdict(part: Part, before: LineageRecord | null, scene: Scene): Promise<Verdict> {
    const { facts, others } = scene;
    const earlier = this.#options.earlier.get(part);
    if (hasLostRecord(before, earlier, facts, others)) {
      const why = 'everything was deleted before it started again';
      return { lineage: lineageOfRun(facts), isForced: true, isProved: false, why };
    }
    const isFlushed = before === null && facts.runId !== '' && earlier?.runId === facts.runId;
    if (isFlushed) return { ...CERTAIN, lineage: earlier.lineage };
    const verdict = decide(before, facts, others);
    if (verdict !== 'ask') {
      const stays = verdict.lineage === (before?.lineage ?? '');
      const why = stays ? null : 'no server that is known had this data before';
      return { ...CERTAIN, lineage: verdict.lineage, why };
    }
    const why = await this.#doubtsOfHandover(before!, scene);
    const isProved = why === null;
    return { ...CERTAIN, lineage: isProved ? before!.lineage : lineageOf(facts), isProved, why };
  }

  /** Makes sure that the server has everything, where a lineage would go on after it started again. */
  async #verify(scene: Scene, changes: readonly Change[]): Promise<readonly Change[] | null> {
    const { server, facts, others } = scene;
    const doubts = new Map(
      changes.flatMap((change) => {
        if (change.isProved || change.before?.lineage !== change.next.lineage) return [];
        const doubt = doubtOf(change.before, this.#options.earlier.get(change.part), facts, others);
        return doubt === 'none' ? [] : [[change, doubt] as const];
      }),
    );
    if (doubts.size === 0) return changes;
    const parts = changes.map(({ part }) => part);
    const court = courtOf(server, facts, parts);
    const kinds = new Set(doubts.values());
    let why = await this.#lack(court, [...doubts.keys()]);
    if (why === null && (kinds.has('strange') || kinds.has('compare'))) {
      await beatScript.load(server);
      const { witnesses } = this.#options;
      const finding = await (kinds.has('strange') ? witnesses.othersDecide(court) : witnesses.agree(court));
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
    const { earlier, evidenceOf, witnesses } = this.#options;
    for (const runId of new Set(changes.map(({ part }) => earlier.get(part)?.runId))) {
      if (runId === undefined || runId === court.runId) continue;
      const lack = await witnesses.lack(court, evidenceOf(runId));
      if (lack !== null) return lack;
    }
    return null;
  }

  async #doubtsOfHandover(record: LineageRecord, { server, facts }: Scene): Promise<string | null> {
    const name = `${record.home} ${record.runId} ${facts.id}`;
    const earlier = this.#handovers.get(name);
    if (earlier !== undefined) return earlier;
    const latest = async () => readReplication(await server.redis.info());
    const doubts = await this.#options.former.doubts(record, facts, latest);
    this.#handovers.set(name, doubts);
    return doubts;
  }
}
