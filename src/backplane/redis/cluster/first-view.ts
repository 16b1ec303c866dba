/** What a node finds out about a cluster before it has links: any server can tell who the masters are. */
import type { ConnectionOptions } from 'node:tls';
import type { Redis } from 'ioredis';
import { type RedisAddress, shownAddress } from '../../../util/redis-url.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import type { Keys } from '../keys/keys.ts';
import { SLOTS } from '../keys/slots.ts';
import { onTrial } from '../link/server-options.ts';
import { serverProblem } from '../link/server-version.ts';
import {
  connectProblem,
  findProblem,
  type StartCheckOptions,
  type StartProblem,
} from '../start/start-checks.ts';
import {
  type ClusterServer,
  type ClusterView,
  mergeViews,
  parseView,
  type SlotMap,
  viewsOf,
} from './slot-map.ts';
import type { FoundViews } from './topology.ts';

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

export interface SearchOptions {
  readonly seeds: readonly RedisAddress[];
  readonly tls: ConnectionOptions | undefined;
  readonly timeoutMs: number;
}

/** What the seeds say, in their order, without those that do not answer: the links say why. */
export async function seedViews({ seeds, tls, timeoutMs }: SearchOptions): Promise<ClusterView[]> {
  const asking = seeds.map((address) =>
    onTrial({ address, tls, timeoutMs }, async (redis) => [await askView(redis, address.host)]).catch(
      () => [],
    ),
  );
  return (await Promise.all(asking)).flat();
}

/**
 * Asks all servers that are known, and the seeds. A cluster that is not the known one counts only if every seed names it: one server that
 * lost its disk, or whose address is another cluster's now, may be the only one that answers.
 */
export async function searchViews(known: SlotMap, options: SearchOptions): Promise<FoundViews> {
  const { seeds } = options;
  const servers = [...known.servers.values()].map((server) => addressOf(server, seeds[0]!));
  const [ofSeeds, ofServers] = await Promise.all([
    seedViews(options),
    seedViews({ ...options, seeds: servers }),
  ]);
  const views = viewsOf(known, [...ofServers, ...ofSeeds]);
  if (views.length > 0) return { views, isAnother: false };
  const [first] = ofSeeds;
  const isAnother = first !== undefined && viewsOf(mergeViews([first]), ofSeeds).length === seeds.length;
  return isAnother ? { views: ofSeeds, isAnother } : { views, isAnother };
}

type Found = { readonly problem: StartProblem } | { readonly view: ClusterView };

interface SeedProblem extends StartProblem {
  readonly seed: RedisAddress;
  /** By what this seed says, all slots have a master. */
  readonly isCovered: boolean;
}

/**
 * What is wrong with the cluster, or what its servers say of it. One that is frozen holds up nobody: the next one is asked meanwhile. One
 * that is not part of a whole cluster, as after it lost its disk, decides nothing while another one is.
 */
export async function firstView(options: FirstViewOptions): Promise<Found> {
  const problems: SeedProblem[] = [];
  const view = await firstOf(options.seeds, async (address) => {
    const said = await examineSeed(address, options);
    const isProblem = 'says' in said;
    const problem = isProblem
      ? { ...said, seed: address, isCovered: false }
      : await viewProblem(said, address, options);
    if (problem !== null) problems.push(problem);
    return isProblem || problem !== null ? null : said;
  });
  return view === null ? { problem: together(problems) } : { view };
}

/** What to say where no seed is fine. It passes if it does for one of them. */
function together(problems: readonly SeedProblem[]): StartProblem {
  const told =
    problems.find(({ isCovered }) => isCovered) ?? problems.find(({ passes }) => !passes) ?? problems[0];
  if (told === undefined) return { says: 'redis.url names no server', passes: false };
  const isOneOfMany = problems.length > 1 && !told.isCovered;
  const all = problems.map(({ seed }) => shownAddress(seed)).join(', ');
  const says = isOneOfMany ? `none of ${all} leads to a whole Redis Cluster: ${told.says}` : told.says;
  return { says, passes: problems.some(({ passes }) => passes) };
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
async function viewProblem(
  view: ClusterView,
  seed: RedisAddress,
  options: FirstViewOptions,
): Promise<SeedProblem | null> {
  const map = mergeViews([view]);
  const lost = [...partitionsOf(options.keys)].find(([, slot]) => map.owner(slot) === null);
  if (lost !== undefined) {
    const says = `the Redis Cluster at ${shownAddress(seed)} has no master for slot ${lost[1]}: assign all ${SLOTS} slots (redis-cli --cluster fix)`;
    return {
      says: map.masters.length === 0 ? emptyProblem(seed) : says,
      passes: true,
      seed,
      isCovered: false,
    };
  }
  const problem = await mastersProblem(map, seed, options);
  return problem === null ? null : { ...problem, seed, isCovered: true };
}

function emptyProblem(seed: RedisAddress): string {
  return `the Redis at ${shownAddress(seed)} is part of no cluster with slots: name servers of your cluster in redis.url, or create one (redis-cli --cluster create)`;
}

async function mastersProblem(
  map: SlotMap,
  seed: RedisAddress,
  options: FirstViewOptions,
): Promise<StartProblem | null> {
  const { keys } = options;
  const problems = new Map<string, StartProblem | null>();
  let enough: () => void = () => undefined;
  const examining = map.masters.map(async (master) => {
    const partition = servedPartition(map, keys, master.id);
    if (partition === null) return;
    const hasNodes = map.owner(keys.slotOfNodes)?.id === master.id;
    const address = addressOf(master, seed);
    const served = { partition, hasNodes };
    const namedBy = shownAddress(seed);
    problems.set(master.id, await findProblem({ ...options, address, served, namedBy }));
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
  const [any] = found;
  if (any === undefined || isMostOf(map, keys, (id) => problems.get(id) === null)) return null;
  if (found.length === 1) return any;
  const says = `${found.length} of ${problems.size} masters of the Redis Cluster cannot be used: ${any.says}`;
  return { ...any, says };
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
