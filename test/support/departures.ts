import type { RedisServer } from './redis.ts';
import { waitFor } from './wait.ts';

/** Each node's last beat: what it wrote before that is stored, and what nodes wrote that were gone by then. */
async function beats(redis: RedisServer): Promise<Map<string, string | null>> {
  const keys = await redis.client.keys('*{nodes}:beat:*');
  return new Map(await Promise.all(keys.map(async (key) => [key, await redis.client.get(key)] as const)));
}

/**
 * A node that died a moment before Redis cannot say what it had stored, and rooms begin anew: docs/redis.md. Where nothing may, this
 * waits until the nodes that live know that the others are gone, and have had a beat since. `nodes`: how many live.
 */
export async function untilTheDeadAreGone(redis: RedisServer, nodes: number): Promise<void> {
  const [leases] = await redis.client.keys('*{nodes}:leases');
  await waitFor(async () => (await redis.client.hlen(leases!)) === nodes, {
    timeoutMs: 30_000,
    for: 'the leases of dead nodes to end',
  });
  const before = await beats(redis);
  const haveBeaten = async () => {
    const now = [...(await beats(redis))].filter(([key, value]) => value !== before.get(key));
    return now.length >= nodes;
  };
  await waitFor(haveBeaten, { timeoutMs: 60_000, for: 'a beat of each node' });
}
