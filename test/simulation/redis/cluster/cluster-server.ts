/** One server of a cluster: a model of Redis that knows which slots are its own, and hears of those of others. */
import { slotOf } from '../../../../src/backplane/redis/keys/slots.ts';
import { Keyspace } from '../keyspace.ts';
import { OK, Refusal, type Reply, Status } from '../reply.ts';
import { idOf, RedisModel } from '../server.ts';
import type { ClusterPart, Use } from './part.ts';
import { type Header, NOBODY, SLOTS, View } from './view.ts';

export interface ClusterServerOptions {
  readonly number: number;
  readonly host: string;
  readonly port: number;
  readonly nowMicros: () => number;
  /** No two servers have the same. */
  readonly name: string;
}

/** How servers reach each other. */
export interface Bus {
  /** Calls `arrived` when the message has reached the other one, which may take time. */
  send(from: ClusterServer, to: ClusterServer, arrived: () => void): void;
  /** All that there are. */
  readonly servers: readonly ClusterServer[];
  /** What a master has and its replica lacks is copied: its keys count from now on. */
  follows(replica: ClusterServer, master: ClusterServer): void;
}

const NO_ID = '0'.repeat(40);
const NOKEY = new Status('NOKEY');
const DOWN = 'CLUSTERDOWN The cluster is down';

export class ClusterServer implements ClusterPart {
  readonly number: number;
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly redis: RedisModel;
  readonly view: View;
  /**
   * Of a replica: what it has, where it does not have all that its master has. Null: it has everything.
   */
  behind: { readonly keys: Keyspace; readonly offset: number } | null = null;
  readonly #bus: Bus;
  #promotions = 0;

  constructor(options: ClusterServerOptions, bus: Bus) {
    const { number, host, port, nowMicros, name } = options;
    this.number = number;
    this.host = host;
    this.port = port;
    this.id = idOf(`${name} of a cluster`);
    this.#bus = bus;
    this.redis = new RedisModel({ nowMicros, name, cluster: this });
    this.view = new View(number);
    this.view.known.set(number, {
      number,
      id: this.id,
      host,
      port,
      master: null,
      epoch: 0,
      hasFailed: false,
    });
  }

  get isMaster(): boolean {
    return this.view.me.master === null;
  }

  get info(): Readonly<Record<string, string | number>> {
    return { redis_mode: 'cluster', cluster_enabled: 1, master_repl_offset: this.#offset };
  }

  /** How far it is in the stream of writes. */
  get #offset(): number {
    const { master } = this.view.me;
    if (master === null) return this.redis.offset;
    return this.behind?.offset ?? this.#bus.servers[master]!.redis.offset;
  }

  // ---- what it runs itself -------------------------------------------------------------------------------

  refusal(use: Use): Refusal | null {
    const text = this.#problem(use);
    return text === null ? null : new Refusal(text);
  }

  scriptRefusal(use: Use): string | null {
    const text = this.#problem(use);
    if (text === null) return null;
    return text === DOWN
      ? 'ERR Script attempted to execute a command while the cluster is down'
      : 'ERR Script attempted to access a non local key in a cluster node';
  }

  #problem({ names, areChannels }: Use): string | null {
    if (names.length === 0) return null;
    const { view } = this;
    const slot = slotOf(names[0]!);
    const owner = view.owners[slot]!;
    if (owner === NOBODY) return 'CLUSTERDOWN Hash slot not served';
    if (names.some((name) => slotOf(name) !== slot))
      return "CROSSSLOT Keys in request don't hash to the same slot";
    if (view.isDown && !areChannels) return DOWN;
    const target = owner === this.number ? view.migrating.get(slot) : undefined;
    if (target !== undefined && !areChannels) {
      const there = names.filter((name) => this.redis.has(name)).length;
      if (there < names.length && there > 0) return 'TRYAGAIN Multiple keys request during rehashing of slot';
      if (there === 0) return `ASK ${slot} ${this.#addressOf(target)}`;
    }
    if (owner === this.number || (areChannels && owner === view.me.master)) return null;
    return `MOVED ${slot} ${this.#addressOf(owner)}`;
  }

  #addressOf(number: number): string {
    const { host, port } = this.view.known.get(number)!;
    return `${host}:${port}`;
  }

  // ---- its own commands ----------------------------------------------------------------------------------

  run(name: string, args: readonly string[]): Reply {
    if (name === 'migrate') return this.#migrate(args);
    const [what = '', ...rest] = args;
    switch (what.toUpperCase()) {
      case 'NODES':
        return this.view.nodes();
      case 'INFO':
        return this.view.info();
      case 'MYID':
        return this.id;
      case 'KEYSLOT':
        return slotOf(rest[0] ?? '');
      case 'COUNTKEYSINSLOT':
        return this.keysIn(Number(rest[0])).length;
      case 'GETKEYSINSLOT':
        return this.keysIn(Number(rest[0])).slice(0, Number(rest[1]));
      case 'SETSLOT':
        return this.#setSlot(Number(rest[0]), rest[1]?.toUpperCase() ?? '', rest[2] ?? '');
      default:
        throw new Error(`the model does not know CLUSTER ${what}`);
    }
  }

  keysIn(slot: number): string[] {
    return [...this.redis.keys.names()].filter((key) => slotOf(key) === slot && this.redis.has(key));
  }

  #setSlot(slot: number, how: string, id: string): Reply {
    const { view } = this;
    if (view.me.master !== null) throw new Refusal('ERR You can use SETSLOT only with masters.');
    const number = [...view.known.values()].find((one) => one.id === id)?.number ?? NOBODY;
    if (how !== 'STABLE' && number === NOBODY) throw new Refusal(`ERR I don't know about node ${id}`);
    if (how === 'MIGRATING') {
      if (view.owners[slot] !== this.number) throw new Refusal(`ERR I'm not the owner of hash slot ${slot}`);
      view.migrating.set(slot, number);
    } else if (how === 'IMPORTING') {
      if (view.owners[slot] === this.number)
        throw new Refusal(`ERR I'm already the owner of hash slot ${slot}`);
      view.importing.set(slot, number);
    } else if (how === 'STABLE') {
      view.migrating.delete(slot);
      view.importing.delete(slot);
    } else this.#assign(slot, number);
    view.changed();
    return OK;
  }

  /** SETSLOT … NODE. */
  #assign(slot: number, number: number): void {
    const { view } = this;
    const wasMine = view.owners[slot] === this.number;
    if (wasMine && number !== this.number && this.keysIn(slot).length > 0) {
      throw new Refusal(
        `ERR Can't assign hashslot ${slot} to a different node while I still hold keys for this hash slot.`,
      );
    }
    if (this.keysIn(slot).length === 0) view.migrating.delete(slot);
    this.#give(slot, number);
    if (wasMine && number !== this.number && !view.hasSlots(this.number)) this.becomeReplicaOf(number);
    if (number !== this.number || !view.importing.delete(slot)) return;
    const highest = view.highestEpoch;
    if (view.me.epoch === 0 || view.me.epoch !== highest) {
      view.currentEpoch = highest + 1;
      view.me.epoch = view.currentEpoch;
    }
    view.changed();
    this.tell();
  }

  /** `MIGRATE host port "" database timeout KEYS key…` */
  #migrate(args: readonly string[]): Reply {
    const target = this.#bus.servers.find(({ host, port }) => host === args[0] && String(port) === args[1]);
    if (target === undefined) throw new Refusal('IOERR error or timeout connecting to the client');
    const keys = args.slice(6).filter((key) => this.redis.has(key));
    if (keys.length === 0) return NOKEY;
    for (const key of keys) {
      if (target.redis.has(key))
        throw new Refusal('ERR Target instance replied with error: BUSYKEY Target key name already exists.');
      this.redis.moveKey(key, target.redis);
    }
    return OK;
  }

  // ---- what it hears of others ---------------------------------------------------------------------------

  /** Tells all others what it claims. */
  tell(): void {
    const header = this.view.header();
    for (const other of this.#bus.servers) {
      if (other !== this) this.#bus.send(this, other, () => other.heard(header));
    }
  }

  heard(header: Header): void {
    const { view } = this;
    const { sender, master, epoch, currentEpoch } = header;
    const known = view.known.get(sender.number) ?? { ...sender, master, epoch, hasFailed: false };
    view.known.set(sender.number, known);
    view.currentEpoch = Math.max(view.currentEpoch, currentEpoch, epoch);
    // A master that follows another one now has lost what it had.
    if (master !== null && known.master === null) {
      for (const slot of view.slotsOf(sender.number)) this.#give(slot, NOBODY);
    }
    known.master = master;
    if (master === null) known.epoch = Math.max(known.epoch, epoch);
    known.hasFailed = false;
    view.changed();
    if (master === null) this.#claimed(header);
    // Its master follows another one now.
    const chief = view.me.master === null ? null : (view.known.get(view.me.master)?.master ?? null);
    if (chief !== null && chief !== this.number) this.becomeReplicaOf(chief);
  }

  /** What a third one says of a server that has claims: only what is newer counts. */
  #informed(header: Header): void {
    const known = this.view.known.get(header.sender.number);
    if (known === undefined || known.epoch < header.epoch) this.heard(header);
  }

  #claimed({ sender: { number }, epoch, slots }: Header): void {
    const { view } = this;
    const ours = view.shard;
    const given = new Set(view.slotsOf(number));
    for (const slot of slots) given.delete(slot);
    for (const slot of given) view.unclaimed.add(slot);
    let [lost, isOutdated] = [0, false];
    for (const slot of slots) {
      const owner = view.owners[slot]!;
      if (owner === number) view.unclaimed.delete(slot);
      if (owner === number || view.importing.has(slot)) continue;
      const isFree = owner === NOBODY || view.unclaimed.has(slot);
      const ownerEpoch = isFree ? -1 : view.known.get(owner)!.epoch;
      isOutdated ||= ownerEpoch > epoch;
      if (ownerEpoch >= epoch) continue;
      if (owner === ours) lost++;
      if (owner === this.number) for (const key of this.keysIn(slot)) this.redis.keys.delete(key);
      this.#give(slot, number);
    }
    view.changed();
    if (lost > 0 && !view.hasSlots(ours)) this.becomeReplicaOf(number);
    // Who claims what another one has taken since is told of it.
    if (isOutdated) this.#update(number, slots);
  }

  #update(number: number, slots: readonly number[]): void {
    const { view } = this;
    const sender = this.#bus.servers[number]!;
    const owners = new Set(
      slots.filter((slot) => !view.unclaimed.has(slot)).map((slot) => view.owners[slot]!),
    );
    for (const owner of owners) {
      const known = view.known.get(owner);
      if (known === undefined || owner === number) continue;
      const header = { ...known, sender: known, currentEpoch: view.currentEpoch, slots: view.slotsOf(owner) };
      this.#bus.send(this, sender, () => sender.#informed(header));
    }
  }

  /** Another server has the slot, or nobody. Whoever subscribed to channels of it here is told. */
  #give(slot: number, number: number): void {
    const { view } = this;
    const owner = view.owners[slot]!;
    if (owner === number) return;
    if (owner !== NOBODY && owner === view.shard)
      this.redis.dropShardChannels((channel) => slotOf(channel) === slot);
    view.owners[slot] = number;
    view.unclaimed.delete(slot);
  }

  /** In the opinion of the majority. */
  failed(number: number): void {
    const known = this.view.known.get(number);
    if (known === undefined || number === this.number) return;
    known.hasFailed = true;
    this.view.changed();
  }

  // ---- failover ------------------------------------------------------------------------------------------

  becomeReplicaOf(number: number): void {
    const { view } = this;
    const wasMaster = view.me.master === null;
    view.me.master = number;
    view.migrating.clear();
    view.importing.clear();
    view.changed();
    this.behind = { keys: this.redis.keys, offset: this.redis.offset };
    this.redis.isReplica = true;
    if (wasMaster) this.redis.resume();
    this.#bus.follows(this, this.#bus.servers[number]!);
    this.tell();
  }

  /** It takes the place of its master, with these keys. */
  takeOver(keys: Keyspace, offset: number): void {
    const { view, redis } = this;
    const former = view.me.master!;
    const { id } = redis.replication;
    view.me.master = null;
    this.behind = null;
    redis.isReplica = false;
    redis.keys = keys;
    redis.offset = offset;
    redis.replication = { id: idOf(`${this.id} ${++this.#promotions}`), id2: id, since: offset + 1 };
    view.currentEpoch = view.highestEpoch + 1;
    view.me.epoch = view.currentEpoch;
    for (let slot = 0; slot < SLOTS; slot++) {
      if (view.owners[slot] !== former) continue;
      view.owners[slot] = this.number;
      view.unclaimed.delete(slot);
    }
    view.changed();
    this.tell();
  }

  /** It has all that its master has, from now on. It goes on where it is if the master has that too; else it copies everything. */
  synced(master: RedisModel): void {
    const { redis } = this;
    const { id, id2, since } = master.replication;
    const mine = redis.replication;
    const goesOn = mine.id === id || (mine.id === id2 && redis.offset < since);
    redis.replication = goesOn ? { id, id2, since } : { id, id2: NO_ID, since: -1 };
    redis.offset = master.offset;
    redis.keys = new Keyspace();
    this.behind = null;
  }

  // ---- pub/sub -------------------------------------------------------------------------------------------

  published(channel: string, payload: string): void {
    const { view } = this;
    for (const other of this.#bus.servers) {
      const known = view.known.get(other.number);
      const isOfShard = other.number === view.shard || known?.master === view.shard;
      if (other !== this && isOfShard)
        this.#bus.send(this, other, () => other.redis.shardPublished(channel, payload));
    }
  }
}
