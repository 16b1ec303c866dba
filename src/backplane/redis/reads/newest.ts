/** Reads the newest message of each conflation id from Redis: see `newest.lua`. */
import { readUint64 } from '../../../util/bytes.ts';
import type { NewestPage } from '../../backplane.ts';
import { CONFLATION_BYTES } from '../../envelope.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import { newestScript } from '../scripts/scripts.ts';

/** Rejects with whatever ioredis does. */
export async function readNewest(
  shard: ShardAccess,
  key: string,
  ageMs: number,
  metrics: BackplaneMetrics,
): Promise<NewestPage> {
  const reply = (await newestScript.call(shard, [key], [ageMs], metrics)) as Buffer[];
  const [mark, ...entries] = reply;
  const marked = entries.map((entry) => ({
    mark: readUint64(entry, CONFLATION_BYTES),
    id: entry.toString('latin1', 0, CONFLATION_BYTES),
    ageMs: readUint64(entry, CONFLATION_BYTES + 8),
    // Not a view: the reply would stay in memory as a whole.
    frame: Buffer.from(entry.subarray(CONFLATION_BYTES + 16)),
  }));
  return { mark: Number(mark!.toString()), messages: marked.sort((a, b) => a.mark - b.mark) };
}
