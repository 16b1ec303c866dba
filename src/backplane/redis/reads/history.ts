/** Reads a room from Redis: writes a call of `history.lua` and reads its reply. */
import type { HistoryPage, ReadOptions } from '../../backplane.ts';
import { Envelope } from '../../envelope.ts';
import type { HistoryPolicy } from '../../history-policy.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import { historyScript } from '../scripts/scripts.ts';

export interface HistoryCall {
  readonly room: string;
  readonly history: HistoryPolicy;
  readonly options: ReadOptions;
  readonly metaTtlMs: number;
  /** Like `metaTtlMs`, for a room that never had a message. */
  readonly emptyMetaTtlMs: number;
  /** For a room that needs one. */
  readonly epoch: string;
  /** Of this Redis. */
  readonly lineage: string;
}

/** Rejects with whatever ioredis does. */
export async function readHistory(
  shard: ShardAccess,
  keys: Keys,
  { room, history, options, metaTtlMs, emptyMetaTtlMs, epoch, lineage }: HistoryCall,
  metrics: BackplaneMetrics,
): Promise<HistoryPage> {
  const { after = 0, limit, begin = false, newest = false, bytes = 0 } = options;
  const emptyLife = begin ? emptyMetaTtlMs : 0;
  const policy = [history.messages, history.ageMs];
  const args = [after, limit, ...policy, epoch, metaTtlMs, lineage, emptyLife, newest ? 1 : 0, bytes];
  const reply = await historyScript.call(shard, [keys.meta(room), keys.log(room)], args, metrics);
  const [storedEpoch, offset, ...entries] = reply as Buffer[];
  return {
    epoch: storedEpoch!.toString(),
    offset: Number(offset!.toString()),
    envelopes: parseEntries(entries, metrics),
  };
}

/** A malformed entry is counted and makes everything before it worthless: a page has no holes. */
function parseEntries(entries: readonly Buffer[], metrics: BackplaneMetrics): Envelope[] {
  let envelopes: Envelope[] = [];
  for (const bytes of entries) {
    const envelope = Envelope.parse(bytes);
    if (envelope !== null) envelopes.push(envelope);
    else {
      metrics.malformedEnvelope();
      envelopes = [];
    }
  }
  return envelopes;
}
