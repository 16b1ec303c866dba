/** A model of a Redis server: one thread, connections that bring commands as bytes, and what can go wrong with it. */
import { createHash } from 'node:crypto';
import { type ClusterPart, useOf } from './cluster/part.ts';
import { COMMANDS, type Ground } from './commands.ts';
import { Keyspace } from './keyspace.ts';
import { CommandReader, encodeReply, OK, Refusal, type Reply, Status } from './reply.ts';
import { fullRefusal, Scripts } from './scripting.ts';

/** The server's end of a link. */
export interface Peer {
  /** Bytes for the client. */
  send(bytes: Buffer): void;
  /** The server hangs up. */
  end(): void;
}

export interface RedisModelOptions {
  /** Its own clock, in microseconds since the Unix epoch. */
  readonly nowMicros: () => number;
  /** Anything that makes two of them differ. */
  readonly name: string;
  /** If it is one of a cluster. */
  readonly cluster?: ClusterPart;
}

/** Which stream of writes a server is at, as INFO tells it. */
export interface ReplicationState {
  readonly id: string;
  /** The stream that it followed before it was promoted, and where its own begins. */
  readonly id2: string;
  readonly since: number;
}

/** Commands that a client without a place in the table of commands may send. */
const SUBSCRIBER_COMMANDS = ['subscribe', 'unsubscribe', 'ssubscribe', 'sunsubscribe', 'ping', 'quit'];
/** Those that wait while it hands over to a replica, beside all that write. */
const MAY_WRITE = ['evalsha', 'publish', 'spublish'];

/** The replication id of a server that was never promoted, before its own. */
const NOBODY = '0'.repeat(40);

export class RedisModel {
  keys = new Keyspace();
  /** No memory is left for writes that need some. */
  isFull = false;
  /** Why it refuses all writes, such as `MISCONF …`, or null. */
  refusal: string | null = null;
  isReplica = false;
  /** The hosts of those that follow it. */
  replicas: readonly string[] = [];
  isLoading = false;
  /** Commands that it carried out. */
  commands = 0;
  scriptCalls = 0;
  /** How often it lost all keys while it ran. */
  flushes = 0;
  /** How many writes it has carried out, or its replica has of them. */
  offset = 0;
  /** It hands over to a replica: what may write waits. */
  isPaused = false;
  readonly #scripts = new Scripts();
  readonly #connections = new Set<RedisConnection>();
  readonly #channels = new Map<string, Set<RedisConnection>>();
  readonly #shardChannels = new Map<string, Set<RedisConnection>>();
  readonly #ground: Ground;
  #replicationId: string;
  /** Of the process: another one after each start. */
  #runId: string;
  readonly #options: RedisModelOptions;
  /** How often it started, promotions included. */
  runs = 0;
  #replicationId2 = NOBODY;
  #promotedAt = -1;
  /** Whom it follows, if it is no server of a cluster. */
  #primary: RedisModel | null = null;

  constructor(options: RedisModelOptions) {
    this.#options = options;
    this.#replicationId = idOf(options.name);
    this.#runId = this.#nextRunId();
    const model = this;
    this.#ground = {
      get keys() {
        return model.keys;
      },
      get nowMicros() {
        return Math.floor(options.nowMicros());
      },
      publish: (channel, payload) => this.#publish(channel, payload),
      subscribers: (channel) => this.#channels.get(channel)?.size ?? 0,
      shardPublish: (channel, payload) => {
        options.cluster?.published(channel, payload);
        return this.shardPublished(channel, payload);
      },
      shardSubscribers: (channel) => this.#shardChannels.get(channel)?.size ?? 0,
      wrote: () => {
        this.offset++;
      },
    };
  }

  connect(peer: Peer): RedisConnection {
    const connection = new RedisConnection(this, peer);
    this.#connections.add(connection);
    return connection;
  }

  get connections(): readonly RedisConnection[] {
    return [...this.#connections];
  }

  // ---- what happens to it --------------------------------------------------------------------------------

  flushAll(): void {
    this.flushes++;
    this.keys.clear();
  }

  flushScripts(): void {
    this.#scripts.flush();
  }

  /** It ended and started again: with the keys that it is given, and without scripts and connections. */
  restart(keys: Keyspace): void {
    for (const connection of this.connections) connection.end();
    this.keys = keys;
    this.#scripts.flush();
    this.#runId = this.#nextRunId();
    // Who was promoted has the numbering in its RDB (not in an AOF), and goes on from it; of all others the disk says nothing.
    const wasPromoted = this.#promotedAt >= 0;
    this.#replicationId2 = wasPromoted ? this.#replicationId : NOBODY;
    this.#replicationId = this.#runId;
    this.#promotedAt = wasPromoted ? this.offset + 1 : -1;
    this.replicas = [];
  }

  #nextRunId(): string {
    return idOf(`${this.#options.name} run ${++this.runs}`);
  }

  /**
   * What was a replica with these keys, and was so far, takes its place. Returns what was the primary, as it is when it hears of the
   * other.
   */
  promote(keys: Keyspace, name: string, offset = this.offset): RedisModel {
    const former = new RedisModel({ ...this.#options, name: `${name}, before` });
    former.isReplica = true;
    former.#runId = this.#runId;
    former.#replicationId = this.#replicationId;
    former.offset = this.offset;
    this.restart(keys);
    this.offset = offset;
    this.#replicationId2 = former.#replicationId;
    this.#replicationId = idOf(name);
    this.#promotedAt = offset + 1;
    return former;
  }

  /** It reached the one that was promoted. `hadAll`: that one has all that it had; else it drops its data and copies the other's. */
  follow(primary: RedisModel, hadAll: boolean): void {
    this.#replicationId = primary.#replicationId;
    this.#replicationId2 = hadAll ? primary.#replicationId2 : NOBODY;
    this.#promotedAt = hadAll ? primary.#promotedAt : -1;
    this.#primary = primary;
  }

  get replication(): ReplicationState {
    return { id: this.#replicationId, id2: this.#replicationId2, since: this.#promotedAt };
  }

  set replication({ id, id2, since }: ReplicationState) {
    this.#replicationId = id;
    this.#replicationId2 = id2;
    this.#promotedAt = since;
  }

  has(key: string): boolean {
    return this.keys.entry(key, this.#nowMs) !== undefined;
  }

  /** To another server, as MIGRATE does it: with what is left of its life. */
  moveKey(key: string, target: RedisModel): void {
    const entry = this.keys.entry(key, this.#nowMs);
    if (entry === undefined) return;
    const endsAtMs = entry.endsAtMs === null ? null : entry.endsAtMs - this.#nowMs + target.#nowMs;
    target.keys.set(key, entry.value, endsAtMs);
    target.offset++;
    this.keys.delete(key);
    this.offset++;
  }

  /** Writes of clients wait, and what these send after them. */
  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    for (const connection of this.connections) connection.resume();
  }

  // ---- for connections -----------------------------------------------------------------------------------

  forget(connection: RedisConnection): void {
    this.#connections.delete(connection);
    for (const channel of connection.channels) this.#unsubscribe(connection, channel);
    for (const channel of connection.shardChannels) drop(this.#shardChannels, connection, channel);
  }

  shardSubscribe(connection: RedisConnection, channel: string): void {
    const subscribers = this.#shardChannels.get(channel) ?? new Set();
    this.#shardChannels.set(channel, subscribers.add(connection));
    connection.shardChannels.add(channel);
  }

  shardUnsubscribe(connection: RedisConnection, channel: string): void {
    drop(this.#shardChannels, connection, channel);
    connection.shardChannels.delete(channel);
  }

  /** Its slot is another server's now: whoever subscribed is told, unasked. */
  dropShardChannels(goes: (channel: string) => boolean): void {
    for (const [channel, subscribers] of [...this.#shardChannels]) {
      if (!goes(channel)) continue;
      for (const connection of [...subscribers]) {
        this.shardUnsubscribe(connection, channel);
        connection.send(encodeReply(['sunsubscribe', channel, connection.shardChannels.size]));
      }
    }
  }

  /** To those who subscribed here. Returns how many. */
  shardPublished(channel: string, payload: string): number {
    return deliver(this.#shardChannels.get(channel), ['smessage', channel, payload]);
  }

  /** Of a cluster: why it leaves a command to others. */
  refusalOf(name: string, args: readonly string[]): Refusal | null {
    return this.#options.cluster?.refusal(useOf(name, args)) ?? null;
  }

  /** Whether a command waits until it has handed over. */
  holds(name: string): boolean {
    return this.isPaused && (MAY_WRITE.includes(name) || COMMANDS.get(name)?.writes === true);
  }

  subscribe(connection: RedisConnection, channel: string): void {
    const subscribers = this.#channels.get(channel) ?? new Set();
    this.#channels.set(channel, subscribers.add(connection));
    connection.channels.add(channel);
  }

  unsubscribe(connection: RedisConnection, channel: string): void {
    this.#unsubscribe(connection, channel);
    connection.channels.delete(channel);
  }

  /** A subscription is gone, and nobody is told: as behind a proxy, or where a server failed over in between. */
  loseSubscription(connection: RedisConnection, channel: string): void {
    this.unsubscribe(connection, channel);
    drop(this.#shardChannels, connection, channel);
    connection.shardChannels.delete(channel);
  }

  run(name: string, args: readonly string[]): Reply {
    this.commands++;
    switch (name) {
      case 'evalsha': {
        const count = Number(args[1]);
        this.scriptCalls++;
        const { cluster } = this.#options;
        const guard = (called: string, words: readonly string[]) =>
          cluster?.scriptRefusal(useOf(called, words)) ?? null;
        const state = { refusal: this.#writeRefusal, isFull: this.isFull, guard };
        return this.#scripts.run(
          args[0] ?? '',
          args.slice(2, 2 + count),
          args.slice(2 + count),
          this.#ground,
          state,
        );
      }
      case 'script':
        return args[0]?.toUpperCase() === 'LOAD' ? this.#scripts.load(args[1] ?? '') : unknown(name, args);
      case 'info':
        return this.#info();
      case 'ping':
        if (this.refusal?.startsWith('MISCONF')) throw new Refusal(this.refusal);
        return new Status('PONG');
      case 'select':
      case 'client':
        return OK;
      case 'cluster':
      case 'migrate':
        return this.#options.cluster?.run(name, args) ?? unknown(name, args);
      default:
        return this.#runOther(name, args);
    }
  }

  #runOther(name: string, args: readonly string[]): Reply {
    const command = COMMANDS.get(name);
    if (command === undefined) return unknown(name, args);
    if (command.writes && this.#writeRefusal !== null) throw new Refusal(this.#writeRefusal);
    if (command.needsMemory && this.isFull) throw fullRefusal();
    if (command.writes) this.offset++;
    return command.run(this.#ground, args);
  }

  get #nowMs(): number {
    return Math.floor(this.#options.nowMicros() / 1000);
  }

  get #writeRefusal(): string | null {
    return this.isReplica ? "READONLY You can't write against a read only replica." : this.refusal;
  }

  #publish(channel: string, payload: string): number {
    return deliver(this.#channels.get(channel), ['message', channel, payload]);
  }

  #unsubscribe(connection: RedisConnection, channel: string): void {
    drop(this.#channels, connection, channel);
  }

  #info(): string {
    const fields = {
      redis_version: '7.0.15',
      redis_mode: 'standalone',
      run_id: this.#runId,
      loading: this.isLoading ? 1 : 0,
      role: this.isReplica ? 'slave' : 'master',
      master_replid: this.#replicationId,
      master_replid2: this.#replicationId2,
      master_repl_offset: (this.#primary ?? this).offset,
      second_repl_offset: this.#promotedAt,
      ...Object.fromEntries(
        this.replicas.map((host, i) => [`slave${i}`, `ip=${host},port=6379,state=online`]),
      ),
      ...this.#options.cluster?.info,
    };
    return Object.entries(fields)
      .map(([name, value]) => `${name}:${value}\r\n`)
      .join('');
  }
}

/** One connection of a client, as the server has it. */
export class RedisConnection {
  readonly channels = new Set<string>();
  /** Of sharded pub/sub. */
  readonly shardChannels = new Set<string>();
  name = '';
  readonly #model: RedisModel;
  readonly #peer: Peer;
  readonly #reader = new CommandReader();
  /** Commands that wait until the server has handed over. */
  #held: string[][] = [];
  #isOpen = true;

  constructor(model: RedisModel, peer: Peer) {
    this.#model = model;
    this.#peer = peer;
  }

  /** Bytes of the client arrived. */
  received(bytes: Buffer): void {
    if (!this.#isOpen) return;
    for (const words of this.#reader.read(bytes)) this.#take(words);
  }

  /** The server has handed over, or does not hand over any more. */
  resume(): void {
    const held = this.#held;
    this.#held = [];
    for (const words of held) this.#take(words);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isSubscribed(): boolean {
    return this.channels.size + this.shardChannels.size > 0;
  }

  send(bytes: Buffer): void {
    if (this.#isOpen) this.#peer.send(bytes);
  }

  /** The server hangs up. */
  end(): void {
    if (!this.#isOpen) return;
    this.closed();
    this.#peer.end();
  }

  /** The link is gone. */
  closed(): void {
    this.#isOpen = false;
    this.#model.forget(this);
  }

  #take(words: string[]): void {
    if (!this.#isOpen) return;
    if (this.#held.length > 0) this.#held.push(words);
    else this.#run(words);
  }

  #run(words: string[]): void {
    const [word = '', ...args] = words;
    const name = word.toLowerCase();
    try {
      if (this.isSubscribed && !SUBSCRIBER_COMMANDS.includes(name)) {
        throw new Refusal(
          `ERR Can't execute '${name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`,
        );
      }
      const refusal = this.#model.refusalOf(name, args);
      if (refusal !== null) throw refusal;
      if (this.#model.holds(name)) return void this.#held.push(words);
      if (name === 'subscribe') return this.#subscribe(args);
      if (name === 'unsubscribe') return this.#unsubscribe(args);
      if (name === 'ssubscribe' || name === 'sunsubscribe') return this.#changeShard(name, args);
      if (name === 'ping' && this.isSubscribed) {
        this.#model.run(name, args);
        return this.send(encodeReply(['pong', args[0] ?? '']));
      }
      if (name === 'client' && args[0]?.toUpperCase() === 'SETNAME') this.name = args[1] ?? '';
      this.send(encodeReply(this.#model.run(name, args)));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.send(encodeReply(error));
    }
  }

  #subscribe(channels: readonly string[]): void {
    for (const channel of channels) {
      this.#model.subscribe(this, channel);
      this.send(encodeReply(['subscribe', channel, this.channels.size]));
    }
  }

  #changeShard(how: 'ssubscribe' | 'sunsubscribe', channels: readonly string[]): void {
    for (const channel of channels) {
      if (how === 'ssubscribe') this.#model.shardSubscribe(this, channel);
      else this.#model.shardUnsubscribe(this, channel);
      this.send(encodeReply([how, channel, this.shardChannels.size]));
    }
  }

  #unsubscribe(channels: readonly string[]): void {
    for (const channel of channels) {
      this.#model.unsubscribe(this, channel);
      this.send(encodeReply(['unsubscribe', channel, this.channels.size]));
    }
  }
}

function drop(all: Map<string, Set<RedisConnection>>, connection: RedisConnection, channel: string): void {
  const subscribers = all.get(channel);
  if (subscribers?.delete(connection) && subscribers.size === 0) all.delete(channel);
}

function deliver(subscribers: ReadonlySet<RedisConnection> | undefined, push: Reply): number {
  if (subscribers === undefined) return 0;
  const bytes = encodeReply(push);
  for (const connection of subscribers) connection.send(bytes);
  return subscribers.size;
}

function unknown(name: string, args: readonly string[]): never {
  throw new Error(`the model does not know ${name} ${args.slice(0, 2).join(' ')}`);
}

export function idOf(name: string): string {
  return createHash('sha1').update(name).digest('hex');
}
