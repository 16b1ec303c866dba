/** What a Redis Cluster says about itself, as plain facts, for deployment checks: any server tells who the others are, and each is asked. */
import type { ConnectionOptions } from 'node:tls';
import { type RedisAddress, redisAddresses, shownAddress } from '../../../util/redis-url.ts';
import { Keys } from '../keys/keys.ts';
import { type InspectOptions, inspectServer, type RedisFacts } from '../start/inspect.ts';
import { addressOf, type SearchOptions, searchViews, seedViews, servedPartition } from './first-view.ts';
import { disagreements, type NamedAddresses } from './named-addresses.ts';
import { type ClusterView, type Master, mergeViews, type SlotMap } from './slot-map.ts';

export interface InspectClusterOptions extends Omit<InspectOptions, 'url' | 'cluster'> {
  /** One URL or several, with commas between them. */
  readonly url: string;
  readonly partitions: number;
}

export interface MasterFacts {
  /** Host and port. */
  readonly address: string;
  /** What it has, as the cluster says. */
  readonly partitions: number;
  readonly hasNodes: boolean;
  /** What it says, or the error by which it did not. */
  readonly found: RedisFacts | Error;
}

/** Who may take the place of a master. */
export interface ReplicaFacts {
  /** Host and port. */
  readonly address: string;
  /** Host and port of its master. */
  readonly follows: string;
  /** What it says, or the error by which it did not. */
  readonly found: RedisFacts | Error;
}

export interface ClusterFacts {
  /** Those that have partitions, or what is one for the whole cluster. */
  readonly masters: readonly MasterFacts[];
  /** Of these masters. */
  readonly replicas: readonly ReplicaFacts[];
  /** Partitions without a master. */
  readonly lost: number;
  /** A server says that the cluster is down. */
  readonly isDown: boolean;
  /** Servers that others name by another address. */
  readonly named: readonly NamedAddresses[];
}

/** Null if no server answers that `url` names. Otherwise as `inspectRedis`, with an error in the place of what a server did not say. */
export async function inspectCluster(options: InspectClusterOptions): Promise<ClusterFacts | null> {
  const { tls, timeoutMs, keyPrefix, partitions } = options;
  const seeds = redisAddresses(options.url);
  const keys = new Keys(keyPrefix, partitions, seeds[0].database);
  const slots = Array.from({ length: partitions }, (_, partition) => keys.slotOfPartition(partition));
  const lostBy = (view: ClusterView) => {
    const map = mergeViews([view]);
    return slots.filter((slot) => map.owner(slot) === null).length;
  };
  // The first of those that know most: one may have lost its disk.
  const [view] = (await seedViews({ seeds, tls, timeoutMs })).sort((a, b) => lostBy(a) - lostBy(b));
  if (view === undefined) return null;
  const map = await mapOf(view, { seeds, tls, timeoutMs });
  const needed = map.masters
    .filter((master) => [...slots, keys.slotOfNodes].some((slot) => map.owner(slot) === master))
    .sort((a, b) => a.host.localeCompare(b.host) || a.port - b.port);
  const around = { map, keys, slots, seed: seeds[0], tls, timeoutMs };
  const [masters, replicas, views] = await Promise.all([
    Promise.all(needed.map((master) => inspectMaster(master, around))),
    Promise.all(needed.flatMap((master) => inspectReplicas(master, around))),
    seedViews({ seeds: needed.map((master) => addressOf(master, seeds[0])), tls, timeoutMs }),
  ]);
  const named = disagreements([view, ...views], seeds[0]);
  return { masters, replicas, lost: lostBy(view), isDown: view.isDown, named };
}

/** The map of one server. Where that one does not know where a master is, others may. */
async function mapOf(view: ClusterView, options: SearchOptions): Promise<SlotMap> {
  const map = mergeViews([view]);
  if (map.masters.every(({ port }) => port !== 0)) return map;
  return mergeViews([view, ...(await searchViews(map, options)).views], map);
}

interface Around {
  readonly map: SlotMap;
  readonly keys: Keys;
  /** By partition. */
  readonly slots: readonly number[];
  readonly seed: RedisAddress;
  readonly tls: ConnectionOptions | undefined;
  readonly timeoutMs: number;
}

function inspectReplicas(master: Master, around: Around): Promise<ReplicaFacts>[] {
  const { map, keys, seed, tls, timeoutMs } = around;
  const follows = shownAddress(addressOf(master, seed));
  const known = master.replicas.flatMap((id) => map.servers.get(id) ?? []);
  // One whose address nobody knows any more cannot be asked.
  const servers = known.filter(({ port }) => port !== 0);
  return servers.map(async (server) => {
    const address = addressOf(server, seed);
    // It accepts no writes, so there is nothing that it could be tried on.
    const options = { address, tls, timeoutMs, keys, isCluster: true, served: null };
    const found = await inspectServer(options).catch((error: Error) => error);
    return { address: shownAddress(address), follows, found };
  });
}

async function inspectMaster(master: Master, around: Around): Promise<MasterFacts> {
  const { map, keys, slots, seed, tls, timeoutMs } = around;
  const address = addressOf(master, seed);
  const partition = servedPartition(map, keys, master.id);
  const hasNodes = map.owner(keys.slotOfNodes) === master;
  // Without a partition there is nothing of a room that it could be tried on.
  const served = partition === null ? null : { partition, hasNodes };
  const found = await inspectServer({ address, tls, timeoutMs, keys, isCluster: true, served }).catch(
    (error: Error) => error,
  );
  const own = slots.filter((slot) => map.owner(slot) === master).length;
  return { address: shownAddress(address), partitions: own, hasNodes, found };
}
