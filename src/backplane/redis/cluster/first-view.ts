/** What a node finds out about a cluster before it has links: any server can tell who the masters are. */
import type { ConnectionOptions } from 'node:tls';
import type { Redis } from 'ioredis';
import { type RedisAddress, shownAddress } from '../../../util/redis-url.ts';
import type { Keys } from '../keys/keys.ts';
import { onTrial } from '../link/server-options.ts';
import { serverProblem } from '../link/server-version.ts';
import {
  connectProblem,
  findProblem,
  type StartCheckOptions,
  type StartProblem,
} from '../start/start-checks.ts';
import { type ClusterServer, type ClusterView, mergeViews, parseView, type SlotMap } from './slot-map.ts';

export type FirstViewOptions = Omit<StartCheckOptions, 'address' | 'served'> & {
  readonly seeds: readonly RedisAddress[];
};

const MIN_TIMEOUT_MS = 1_000;

/** Asks a server who has which slots. Rejects if it does not answer. */
export async function askView(redis: Redis, host: string): Promise<ClusterView> {
  const [nodes, info] = await Promise.all([redis.call('CLUSTER', 'NODES'), redis.call('CLUSTER', 'INFO')]);
  return parseView(String(nodes), String(info), { host });
}

/** Where to reach a server. A certificate is for a name, so with TLS the name that the server announces counts. */
export function addressOf(server: ClusterServer, seed: RedisAddress): RedisAddress {
  const host = seed.isSecure && server.hostname !== '' ? server.hostname : server.host;
  return { ...seed, host, port: server.port };
}

/** The first answer of any of these servers, or null. */
export async function searchView(
  addresses: readonly RedisAddress[],
  tls: ConnectionOptions | undefined,
  timeoutMs: number,
): Promise<ClusterView | null> {
  for (const address of addresses) {
    try {
      return await onTrial({ address, tls, timeoutMs }, (redis) => askView(redis, address.host));
    } catch {
      // Another one may answer; if none does, the links say why.
    }
  }
  return null;
}

/** What is wrong with the cluster, or what its servers say of it. */
export async function firstView(
  options: FirstViewOptions,
): Promise<{ readonly problem: StartProblem } | { readonly view: ClusterView }> {
  let problem: StartProblem | null = null;
  for (const address of options.seeds) {
    const found = await examineSeed(address, options);
    if ('says' in found) {
      if (!found.passes) return { problem: found };
      problem ??= found;
      continue;
    }
    const wrong = await mapProblem(mergeViews([found]), address, options);
    if (wrong === null) return { view: found };
    return { problem: wrong };
  }
  return { problem: problem ?? { says: 'redis.url names no server', passes: false } };
}

async function examineSeed(
  address: RedisAddress,
  options: FirstViewOptions,
): Promise<StartProblem | ClusterView> {
  const { tls, commandTimeoutMs } = options;
  const timeoutMs = Math.max(MIN_TIMEOUT_MS, commandTimeoutMs);
  try {
    return await onTrial({ address, tls, timeoutMs }, async (redis) => {
      const wrong = serverProblem(await redis.info(), true);
      const says = `cannot use the Redis at ${shownAddress(address)}: ${wrong}`;
      return wrong === null ? askView(redis, address.host) : { says, passes: false };
    });
  } catch (error) {
    return connectProblem(error as NodeJS.ErrnoException, { ...options, address });
  }
}

/** All partitions need a master, and each master has to let the node work. */
async function mapProblem(
  map: SlotMap,
  seed: RedisAddress,
  options: FirstViewOptions,
): Promise<StartProblem | null> {
  const { keys } = options;
  const lost = [...partitionsOf(keys)].find(([, slot]) => map.owner(slot) === null);
  if (lost !== undefined) {
    const says = `the Redis Cluster at ${shownAddress(seed)} has no master for slot ${lost[1]}: assign all ${16_384} slots (redis-cli --cluster fix)`;
    return { says, passes: true };
  }
  const problems = new Map<string, StartProblem>();
  await Promise.all(
    map.masters.map(async (master) => {
      const partition = servedPartition(map, keys, master.id);
      if (partition === null) return;
      const hasNodes = map.owner(keys.slotOfNodes)?.id === master.id;
      const address = addressOf(master, seed);
      const problem = await findProblem({ ...options, address, served: { partition, hasNodes } });
      if (problem !== null) problems.set(master.id, problem);
    }),
  );
  const lasting = [...problems.values()].find(({ passes }) => !passes);
  if (lasting !== undefined) return lasting;
  // One that is away stops nobody: it comes back, or another takes over.
  const [any = null] = problems.values();
  return isMostOf(map, keys, (id) => !problems.has(id)) ? null : any;
}

/** Whether those masters have most partitions and what is one for the whole cluster. */
function isMostOf(map: SlotMap, keys: Keys, isFine: (id: string) => boolean): boolean {
  const isServed = (slot: number) => isFine(map.owner(slot)?.id ?? '');
  const served = [...partitionsOf(keys)].filter(([, slot]) => isServed(slot)).length;
  return isServed(keys.slotOfNodes) && served * 2 > keys.partitions;
}

/** One partition that the master has, or null. */
export function servedPartition(map: SlotMap, keys: Keys, id: string): number | null {
  for (const [partition, slot] of partitionsOf(keys)) if (map.owner(slot)?.id === id) return partition;
  return null;
}

function* partitionsOf(keys: Keys): Generator<readonly [partition: number, slot: number]> {
  for (let partition = 0; partition < keys.partitions; partition++) {
    yield [partition, keys.slotOfPartition(partition)];
  }
}
