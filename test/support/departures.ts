import type { RedisServer } from './redis.ts';
import { waitFor } from './wait.ts';

/** All keys that match, with what they hold. */
async function valuesOf(redis: RedisServer, pattern: string): Promise<Map<string, string | null>> {
  const keys = await redis.client.keys(pattern);
  return new Map(await Promise.all(keys.map(async (key) => [key, await redis.client.get(key)] as const)));
}

async function untilEachChanged(
  read: () => Promise<ReadonlyMap<string, string | null>>,
  nodes: number,
  what: string,
): Promise<void> {
  const before = await read();
  const haveChanged = async () =>
    [...(await read())].filter(([name, value]) => value !== before.get(name)).length >= nodes;
  await waitFor(haveChanged, { timeoutMs: 60_000, for: what });
}

/**
 * A node that died a moment before Redis cannot say what it had stored, and rooms begin anew: docs/redis.md. Where nothing may, this
 * waits until the nodes that live know that the others are gone, and have had a beat since: what a node wrote before its last beat is
 * stored, and what nodes wrote that it had found gone by then. `nodes`: how many live.
 */
export async function untilTheDeadAreGone(redis: RedisServer, nodes: number): Promise<void> {
  const [key] = await redis.client.keys('*{nodes}:leases');
  const leases = async () => new Map(Object.entries(await redis.client.hgetall(key!)));
  await waitFor(async () => (await leases()).size === nodes, {
    timeoutMs: 30_000,
    for: 'the leases of dead nodes to end',
  });
  // A node finds out from the answer to its renewal; it has had that answer when it sends the next.
  for (const which of ['a renewal', 'the next renewal'])
    await untilEachChanged(leases, nodes, `${which} of each lease`);
  await untilEachChanged(() => valuesOf(redis, '*{nodes}:beat:*'), nodes, 'a beat of each node');
}

/** And this waits, once Redis runs again, until each node has said what it knows of: the others wait for it, three seconds at most. */
export async function untilAllHaveCompared(redis: RedisServer, nodes: number): Promise<void> {
  const runId = /^run_id:(\w+)/m.exec(await redis.client.info('server'))![1]!;
  const haveSaid = async () => {
    const beats = await valuesOf(redis, '*{nodes}:beat:*');
    return [...beats.values()].filter((beat) => beat?.startsWith(runId)).length >= nodes;
  };
  await waitFor(haveSaid, { timeoutMs: 30_000, for: 'all nodes to compare' });
}
