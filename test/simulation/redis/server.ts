/** A model of a Redis server: one thread, connections that bring commands as bytes, and what can go wrong with it. */
import { createHash } from 'node:crypto';
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
}

/** Commands that a client without a place in the table of commands may send. */
const SUBSCRIBER_COMMANDS = ['subscribe', 'unsubscribe', 'ping', 'quit'];

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
  readonly #scripts = new Scripts();
  readonly #connections = new Set<RedisConnection>();
  readonly #channels = new Map<string, Set<RedisConnection>>();
  readonly #ground: Ground;
  #replicationId: string;
  /** Of the process: another one after each start. */
  #runId: string;
  readonly #options: RedisModelOptions;
  #runs = 0;
  #replicationId2 = NOBODY;
  #promotedAt = -1;

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
    this.#promotedAt = wasPromoted ? this.commands : -1;
    this.replicas = [];
  }

  #nextRunId(): string {
    return idOf(`${this.#options.name} run ${++this.#runs}`);
  }

  /** What was a replica with these keys takes its place. Returns what was the primary, as it is when it hears of the other. */
  promote(keys: Keyspace, name: string): RedisModel {
    const former = new RedisModel({ ...this.#options, name: `${name}, before` });
    former.isReplica = true;
    former.#runId = this.#runId;
    former.#replicationId = this.#replicationId;
    this.restart(keys);
    this.#replicationId2 = former.#replicationId;
    this.#replicationId = idOf(name);
    this.#promotedAt = this.commands;
    return former;
  }

  /** It reached the one that was promoted. `hadAll`: that one has all that it had; else it drops its data and copies the other's. */
  follow(primary: RedisModel, hadAll: boolean): void {
    this.#replicationId = primary.#replicationId;
    this.#replicationId2 = hadAll ? primary.#replicationId2 : NOBODY;
    this.#promotedAt = hadAll ? primary.#promotedAt : -1;
  }

  // ---- for connections -----------------------------------------------------------------------------------

  forget(connection: RedisConnection): void {
    this.#connections.delete(connection);
    for (const channel of connection.channels) this.#unsubscribe(connection, channel);
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
    this.#unsubscribe(connection, channel);
  }

  run(name: string, args: readonly string[]): Reply {
    this.commands++;
    switch (name) {
      case 'evalsha': {
        const count = Number(args[1]);
        this.scriptCalls++;
        const state = { refusal: this.#writeRefusal, isFull: this.isFull };
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
      default:
        return this.#runOther(name, args);
    }
  }

  #runOther(name: string, args: readonly string[]): Reply {
    const command = COMMANDS.get(name);
    if (command === undefined) return unknown(name, args);
    if (command.writes && this.#writeRefusal !== null) throw new Refusal(this.#writeRefusal);
    if (command.needsMemory && this.isFull) throw fullRefusal();
    return command.run(this.#ground, args);
  }

  get #writeRefusal(): string | null {
    return this.isReplica ? "READONLY You can't write against a read only replica." : this.refusal;
  }

  #publish(channel: string, payload: string): number {
    const subscribers = this.#channels.get(channel);
    if (subscribers === undefined) return 0;
    const bytes = encodeReply(['message', channel, payload]);
    for (const connection of subscribers) connection.send(bytes);
    return subscribers.size;
  }

  #unsubscribe(connection: RedisConnection, channel: string): void {
    const subscribers = this.#channels.get(channel);
    if (subscribers?.delete(connection) && subscribers.size === 0) this.#channels.delete(channel);
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
      second_repl_offset: this.#promotedAt,
      ...Object.fromEntries(
        this.replicas.map((host, i) => [`slave${i}`, `ip=${host},port=6379,state=online`]),
      ),
    };
    return Object.entries(fields)
      .map(([name, value]) => `${name}:${value}\r\n`)
      .join('');
  }
}

/** One connection of a client, as the server has it. */
export class RedisConnection {
  readonly channels = new Set<string>();
  name = '';
  readonly #model: RedisModel;
  readonly #peer: Peer;
  readonly #reader = new CommandReader();
  #isOpen = true;

  constructor(model: RedisModel, peer: Peer) {
    this.#model = model;
    this.#peer = peer;
  }

  /** Bytes of the client arrived. */
  received(bytes: Buffer): void {
    if (!this.#isOpen) return;
    for (const words of this.#reader.read(bytes)) if (this.#isOpen) this.#run(words);
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

  #run([word = '', ...args]: readonly string[]): void {
    const name = word.toLowerCase();
    try {
      if (this.channels.size > 0 && !SUBSCRIBER_COMMANDS.includes(name)) {
        throw new Refusal(
          `ERR Can't execute '${name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`,
        );
      }
      if (name === 'subscribe') return this.#subscribe(args);
      if (name === 'unsubscribe') return this.#unsubscribe(args);
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

  #unsubscribe(channels: readonly string[]): void {
    for (const channel of channels) {
      this.#model.unsubscribe(this, channel);
      this.send(encodeReply(['unsubscribe', channel, this.channels.size]));
    }
  }
}

function unknown(name: string, args: readonly string[]): never {
  throw new Error(`the model does not know ${name} ${args.slice(0, 2).join(' ')}`);
}

function idOf(name: string): string {
  return createHash('sha1').update(name).digest('hex');
}
