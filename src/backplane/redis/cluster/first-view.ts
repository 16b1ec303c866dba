/** What a node finds out about a cluster before it has links: any server can tell who the masters are. */
import type { ConnectionOptions } from 'node:tls';
import type { Redis } from 'ioredis';
import { type RedisAddress, shownAddress } from '../../../util/redis-url.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
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
/** After which the next server is asked too. */
const NEXT_SEED_MS = 300;
/** For the masters that have not answered when most have. */
const LAST_MASTERS_MS = 500;

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

type Found = { readonly problem: StartProblem } | { readonly view: ClusterView };

/** What is wrong with the cluster, or what its servers say of it. One that is frozen holds up nobody: the next one is asked meanwhile. */
export async function firstView(options: FirstViewOptions): Promise<Found> {
  const passing: StartProblem[] = [];
  const found = await firstOf(options.seeds, async (address) => {
    const said = await examineSeed(address, options);
    if (!('says' in said)) return { view: said, address };
    if (!said.passes) return { problem: said };
    passing.push(said);
    return null;
  });
  if (found === null) return { problem: passing[0] ?? { says: 'redis.url names no server', passes: false } };
  if ('problem' in found) return found;
  const problem = await mapProblem(mergeViews([found.view]), found.address, options);
  return problem === null ? { view: found.view } : { problem };
}

/** Tries one after the other, the next one also while the last one is slow. The first that is not null, or null. */
function firstOf<T, U>(items: readonly T[], attempt: (item: T) => Promise<U | null>): Promise<U | null> {
  return new Promise((resolve, reject) => {
    let next = 0;
    let open = 0;
    let isOver = false;
    const tryNext = () => {
      if (isOver) return;
      if (next === items.length) return open === 0 ? resolve(null) : undefined;
      const timer = systemScheduler.after(NEXT_SEED_MS, tryNext);
      open++;
      attempt(items[next++]!).then((found) => {
        timer.cancel();
        open--;
        if (found === null) return tryNext();
        isOver = true;
        resolve(found);
      }, reject);
    };
    tryNext();
  });
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
  const problems = new Map<string, StartProblem | null>();
  let enough: () => void = () => undefined;
  const examining = map.masters.map(async (master) => {
    const partition = servedPartition(map, keys, master.id);
    if (partition === null) return;
    const hasNodes = map.owner(keys.slotOfNodes)?.id === master.id;
    const address = addressOf(master, seed);
    problems.set(master.id, await findProblem({ ...options, address, served: { partition, hasNodes } }));
    // Those that have not answered yet may be frozen.
    if (isMostOf(map, keys, (id) => problems.get(id) === null))
      systemScheduler.after(LAST_MASTERS_MS, () => enough());
  });
  await Promise.race([
    Promise.all(examining),
    new Promise<void>((resolve) => {
      enough = resolve;
    }),
  ]);
  const found = [...problems.values()].filter((problem) => problem !== null);
  const lasting = found.find(({ passes }) => !passes);
  if (lasting !== undefined) return lasting;
  // One that is away stops nobody: it comes back, or another takes over.
  const [any = null] = found;
  return isMostOf(map, keys, (id) => problems.get(id) === null) ? null : any;
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
