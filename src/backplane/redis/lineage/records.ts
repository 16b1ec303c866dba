/** The records of lineages, as `record.ts` writes them: read and replaced in the partitions that they are about. */
import { unavailable } from '../../backplane.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import { errorFromCall, isRefusedWrite } from '../link/redis-errors.ts';
import type { ServerAddress } from '../link/replication.ts';
import { lineageScript, type ScriptTarget } from '../scripts/scripts.ts';
import { type LineageRecord, readRecord, writeRecord } from './record.ts';

export interface RecordsOptions {
  readonly keys: Keys;
  readonly metrics: BackplaneMetrics;
}

export interface RecordServer extends ScriptTarget {
  /** Whether `redis` still leads to it: it reconnects by itself, perhaps to another. */
  isCurrent(): boolean;
}

/** A server, as a link to it has just found it. */
export interface FoundServer extends RecordServer {
  /** Its reply to INFO. */
  readonly info: string;
  readonly address: ServerAddress;
}

/** A partition, or null for the leases and denials. */
export type Part = number | null;

/** One record as it was found, and what it shall be. */
export interface Change {
  readonly part: Part;
  readonly found: string;
  readonly before: LineageRecord | null;
  readonly next: LineageRecord;
  /** This node knows that it must be this lineage, whatever others store. */
  readonly isForced?: boolean;
  /** The former primary proved that it handed over everything. */
  readonly isProved: boolean;
  /** Why a lineage begins, for people; null where it stays. */
  readonly why: string | null;
}

const READ_AT_ONCE = 1_000;
/** In place of a record that the server refused to store. */
export const OWED = '';

export class Records {
  readonly #options: RecordsOptions;

  constructor(options: RecordsOptions) {
    this.#options = options;
  }

  /** By partition; '' where there is none. */
  async read({ redis }: Pick<RecordServer, 'redis'>, parts: readonly Part[]): Promise<Map<Part, string>> {
    const { keys } = this.#options;
    const found = new Map<Part, string>();
    for (let at = 0; at < parts.length; at += READ_AT_ONCE) {
      const some = parts.slice(at, at + READ_AT_ONCE);
      const replies = await Promise.all(some.map((part) => redis.get(keys.lineage(part))));
      some.forEach((part, i) => {
        found.set(part, replies[i] ?? '');
      });
    }
    return found;
  }

  /** Returns the records that are stored now. */
  async store(server: RecordServer, changes: readonly Change[]): Promise<string[]> {
    const { keys, metrics } = this.#options;
    const isChanged = ({ found, next }: Change) => found !== writeRecord(next);
    if (!changes.some(isChanged)) return changes.map(({ found }) => found);
    await lineageScript.load(server);
    if (!server.isCurrent()) throw unavailable('connect', 'the link was lost');
    return Promise.all(
      changes.map(async (change) => {
        if (!isChanged(change)) return change.found;
        const args = [change.found, writeRecord(change.next)];
        try {
          return String(await lineageScript.call(server, [keys.lineage(change.part)], args, metrics));
        } catch (error) {
          return this.#refused(change, errorFromCall(error, 'connect').message);
        }
      }),
    );
  }

  /** A server that refuses writes can be read meanwhile; but a lineage that begins must be stored before anything is numbered. */
  #refused({ before, next, isForced = false }: Change, message: string): string {
    const begins = isForced || (before !== null && before.lineage !== next.lineage);
    const reply = message.replace(/^redis: /, '');
    if (begins || !isRefusedWrite(reply))
      throw unavailable('connect', `cannot store the lineage of rooms: ${message}`);
    return OWED;
  }
}

/** Whether it is as wanted, or another node settled the record with the same server. */
export function isSettled(stored: string, { next, isForced }: Change): boolean {
  if (stored === OWED) return true;
  const record = readRecord(stored);
  return record?.home === next.home && (isForced !== true || record.lineage === next.lineage);
}
