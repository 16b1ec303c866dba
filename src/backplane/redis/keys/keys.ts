/**
 * The only place that spells Redis keys and channels: `<prefix>:{<tag>}:<kind>:<room>`.
 *
 * All keys of a room have the tag of its partition, so a script may touch them together on Redis Cluster, and
 * all rooms of a partition can share one call. Tags are chosen so that the partitions spread evenly over the
 * slots.
 *
 * Redis does not divide channels by database. So the name of every channel, including logs, also has the
 * number of the database: `log3@1`. In database 0 it has none, as it always was.
 */
import { slotOf, tagsOverSlots } from './slots.ts';

export class Keys {
  readonly #heads: readonly string[];
  /** The name up to the room, by partition: `publish-call.ts` writes names without making strings of them. */
  readonly metaHeads: readonly string[];
  readonly logHeads: readonly string[];
  readonly newestHeads: readonly string[];
  readonly #prefix: string;
  /** The database suffix of the kind in channel names. */
  readonly #database: string;

  /** `partitions` is from 1 to 16384. Nodes of one cluster MUST agree on all arguments. */
  constructor(prefix: string, partitions: number, database = 0) {
    this.#prefix = `${prefix}:{`;
    this.#database = database === 0 ? '' : `@${database}`;
    this.#heads = tagsOverSlots(partitions).map((tag) => `${this.#prefix}${tag}}:`);
    this.metaHeads = this.#heads.map((head) => `${head}meta:`);
    this.logHeads = this.#heads.map((head) => `${head}log3${this.#database}:`);
    this.newestHeads = this.#heads.map((head) => `${head}newest:`);
  }

  /** The pattern, as in Redis ACLs, that all names match and no name with another prefix. */
  get pattern(): string {
    return `${this.#prefix}*`;
  }

  get partitions(): number {
    return this.#heads.length;
  }

  partitionOf(room: string): number {
    return hash32(room) % this.#heads.length;
  }

  /** String: the room's epoch and offset, as `publish.lua` describes it. */
  meta(room: string): string {
    return this.metaHeads[this.partitionOf(room)]! + room;
  }

  /**
   * Stream: the stored envelopes. Also the name of the room's pub/sub channel, which `publish.lua` relies on.
   * The number is the envelopes' version: no build reads what another version stored or sent.
   */
  log(room: string): string {
    return this.logHeads[this.partitionOf(room)]! + room;
  }

  /** Hash, in rooms without history: conflation id to newest message, as `publish.lua` describes it. */
  newest(room: string): string {
    return this.newestHeads[this.partitionOf(room)]! + room;
  }

  /** Pub/sub channel. Keys and channels have separate namespaces in Redis. */
  channel(room: string): string {
    return this.log(room);
  }

  /**
   * String: where the message with this idempotency key is. No room has a `*` in its name, so no two can
   * collide.
   */
  dedup(room: string, key: string): string {
    return `${this.#head(room)}dedup:${room}*${key}`;
  }

  /** Hash: connection to entry, as `presence.lua` describes it. */
  presence(room: string): string {
    return `${this.#head(room)}pres:${room}`;
  }

  /** Hash: user to number of connections in the room. */
  presenceUsers(room: string): string {
    return `${this.#head(room)}presu:${room}`;
  }

  /** Sorted set: the connections that have an entry, all with score 0, so in the order of their bytes. */
  presenceOrder(room: string): string {
    return `${this.#head(room)}preso:${room}`;
  }

  /**
   * Hash: node to the record of its presence lease, as `lease.lua` describes it. One for the cluster, with
   * its own tag.
   */
  leases(): string {
    return `${this.#prefix}nodes}:leases`;
  }

  /** Hash: rooms in which the node may have entries. In the slot of the leases. */
  nodeRooms(nodeId: string): string {
    return `${this.#prefix}nodes}:rooms:${nodeId}`;
  }

  /** Sorted set: how far each user has read in this epoch. */
  acks(room: string, epoch: string): string {
    return `${this.#head(room)}acks:${room}*${epoch}`;
  }

  /** Sorted set: denials, as `deny.lua` describes them. One for the cluster, in the slot of the leases. */
  denials(): string {
    return `${this.#prefix}nodes}:denials`;
  }

  /** Sorted set: when each denial was made or lifted, as `deny.lua` describes it. */
  denialChanges(): string {
    return `${this.#prefix}nodes}:denials:changes`;
  }

  /**
   * The pub/sub channel on which a node hears itself; of a cluster, with the tag of a partition of the server that it is about,
   * or (null) with that of the leases.
   */
  probe(nodeId: string, partition: number | null = this.partitionOf(nodeId)): string {
    return `${this.#headOf(partition)}probe${this.#database}:${nodeId}`;
  }

  /** The pub/sub channel that all nodes hear. */
  signals(): string {
    return `${this.#prefix}nodes}:signals${this.#database}`;
  }

  /** String: the record of a partition's lineage, as `lineage.lua` describes it; null for that of the leases and denials. */
  lineage(partition: number | null): string {
    return `${this.#headOf(partition)}lineage`;
  }

  /** String: what a node last wrote on the server of that partition, as `beat.lua` describes it; null as above. */
  beat(partition: number | null, nodeId: string): string {
    return `${partition === null ? `${this.#prefix}nodes}:` : this.#heads[partition]}beat:${nodeId}`;
  }

  /** The cluster slot of everything that belongs to a partition. */
  slotOfPartition(partition: number): number {
    return slotOf(this.#heads[partition]!.slice(this.#prefix.length, -2));
  }

  /** That of what is one for the whole cluster: leases, denials and signals. */
  get slotOfNodes(): number {
    return slotOf('nodes');
  }

  /** Null: of what is one for the whole cluster. */
  #headOf(partition: number | null): string {
    return partition === null ? `${this.#prefix}nodes}:` : this.#heads[partition]!;
  }

  #head(room: string): string {
    return this.#heads[this.partitionOf(room)]!;
  }
}

/**
 * FNV-1a over UTF-16 units, then murmur3's finish: FNV alone leaves the low bits, which the modulo uses, too
 * similar for names that differ only in their last character.
 */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  const { length } = text;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
