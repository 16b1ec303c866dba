/**
 * Decides whether a partition may lack writes that were acknowledged. Replication is asynchronous: a promoted replica
 * may lack the newest messages, gives their offsets to new ones, and cannot know it. So every partition has a record. It
 * names the server on which nodes found the partition, and its lineage: the promotion since which its rooms are numbered.
 * A promotion that may have lost writes begins a new lineage, and each room gets a new epoch at its next use. Three events
 * begin none: a partition moves with its slot; a server restarts with all of its data, which nodes check
 * (`witnesses.ts`); a planned failover, for which the former primary gives the proof.
 */
import type { Replication } from '../link/replication.ts';
import type { LineageRecord } from './record.ts';

/** Long enough that no two promotions of one cluster share it. */
const LINEAGE_BYTES = 8;

export type Verdict =
  | { readonly lineage: string }
  /** A promotion: the lineage stays only if the former primary proves that it handed over everything. */
  | 'ask';

/** What is known of the other primaries of a cluster. One Redis, with or without Sentinel, has none. */
export interface Others {
  /** Those that live now. */
  readonly primaries: readonly Replication[];
  /** Whether the node knew this server as a primary, under this id, before the partition was seen on it. */
  readonly isKnown: boolean;
}

export const ALONE: Others = { primaries: [], isKnown: false };

/** `server`: where the partition is now. `record`: null if there is none yet, as in data of earlier versions. */
export function decide(record: LineageRecord | null, server: Replication, others: Others): Verdict {
  if (record === null) return { lineage: server.previousId === '' ? '' : lineageOf(server) };
  if (record.home === server.id) return record;
  if (server.previousId !== '' && server.previousId === record.home) return 'ask';
  return hasMoved(record, server, others) ? record : { lineage: lineageOf(server) };
}

/** A server that was never promoted lacks nothing that its own disk has; another one is known from before. */
function hasMoved({ home }: LineageRecord, server: Replication, { primaries, isKnown }: Others): boolean {
  if (server.previousId !== '' && !isKnown) return false;
  if (primaries.some(({ id }) => id === home)) return true;
  // A replica of its home may have been promoted in between, and the partition came from there.
  return server.previousId === '' && !primaries.some(({ previousId }) => previousId === home);
}

/**
 * A master that gives its last slots away becomes a replica of the server that got them, so it is no primary any more, but nothing was
 * lost. Returns the primary that it was, under the id `home`; null if it does not prove that. `said`: its own reply. A master that
 * follows because its own replica was promoted shows it: it has kept some of its former replication stream.
 */
export function asPrimary(said: Replication, home: string, server: Replication): Replication | null {
  if (!said.isReplica) return said;
  const hasBegunAnew = said.id === server.id && said.previousId === '';
  const hasYetToBegin = said.id === home;
  return hasBegunAnew || hasYetToBegin ? { ...said, id: home, previousId: '' } : null;
}

/** What to find out before a partition goes on in its lineage. */
export type Doubt =
  | 'none'
  /** The server started again, perhaps from an older disk. */
  | 'compare'
  /** The same, and this node was not there before: it has nothing to compare. */
  | 'strange'
  /** Other nodes decided, without this one, that the server lacks nothing. */
  | 'late';

/** For a lineage that stays. `earlier`: as this node last knew the record. Says nothing where a server does not name its process. */
export function doubtOf(
  record: LineageRecord | null,
  earlier: LineageRecord | undefined,
  server: Replication,
  { primaries }: Others,
): Doubt {
  if (record === null || record.runId === '' || server.runId === '') return 'none';
  const lives = (one: LineageRecord) => livesElsewhere(one, primaries);
  if (record.runId !== server.runId) {
    // What moved comes from a server that lives. Or it moved long ago, and the disk is from before nodes found it here.
    if (lives(record) && isAsKnown(record, earlier, server, lives)) return 'none';
    return earlier === undefined ? 'strange' : 'compare';
  }
  if (earlier === undefined || earlier.runId === server.runId) return 'none';
  // A lineage that began meanwhile; none at all was begun by nobody.
  if (earlier.lineage !== record.lineage && record.lineage !== '') return 'none';
  const wasHandedOver = server.previousId !== '' && server.previousId === earlier.home;
  return earlier.runId === '' || wasHandedOver || lives(earlier) ? 'none' : 'late';
}

/**
 * Whether a partition without a record had one before: Redis was flushed, and then the server restarted. What was numbered in between
 * has no lineage to compare.
 */
export function hasLostRecord(
  record: LineageRecord | null,
  earlier: LineageRecord | undefined,
  server: Replication,
  { primaries }: Others,
): boolean {
  if (record !== null || earlier === undefined || server.runId === '') return false;
  return earlier.runId !== server.runId && !livesElsewhere(earlier, primaries);
}

function livesElsewhere({ home, runId }: LineageRecord, primaries: readonly Replication[]): boolean {
  return primaries.some((other) => other.runId === runId || other.id === home);
}

function isAsKnown(
  record: LineageRecord,
  earlier: LineageRecord | undefined,
  server: Replication,
  lives: (record: LineageRecord) => boolean,
): boolean {
  return earlier === undefined || [record.runId, server.runId].includes(earlier.runId) || lives(earlier);
}

/** The lineage that begins when this server started without all that it had. */
export function lineageOfRun({ runId }: Replication): string {
  return runId.slice(0, LINEAGE_BYTES);
}

/** The lineage that begins with the promotion of this server. */
export function lineageOf({ id }: Replication): string {
  return id.slice(0, LINEAGE_BYTES);
}

/**
 * Whether the former primary proves that `server` has all of its writes: it stopped at exactly the replication offset at
 * which `server` began, and follows it now. Another replica may be at the same offset, so it must be the process that the
 * record names. Null: not decided yet.
 */
export function provesHandover(
  { home, runId }: LineageRecord,
  server: Replication,
  former: Replication,
): boolean | null {
  if (runId === '' || former.runId !== runId) return false;
  // The former primary wrote more after that offset. Only one that hands over stops there.
  if (!former.isReplica && former.id === home && former.offset >= server.since) return false;
  if (!former.isReplica || former.id !== server.id) return null;
  return former.previousId === home && server.previousId === home && former.since === server.since;
}
