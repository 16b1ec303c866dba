/** A cluster with its clients in one process: nodes, Redis, the links between them, and time. */

import { Keys } from '../../../src/backplane/redis/keys/keys.ts';
import type { InspectedFrame } from '../../../src/client/inspector.ts';
import type { Config } from '../../../src/config/config.ts';
import type { RoomRule } from '../../../src/config/room-rule.ts';
import { compileRules } from '../../../src/config/rules.ts';
import { Random } from '../../support/random.ts';
import type { Acknowledged } from '../../support/returning-client.ts';
import type { Keyspace } from '../redis/keyspace.ts';
import { RedisModel } from '../redis/server.ts';
import { Clears } from './clears.ts';
import { DataOrder } from './data-order.ts';
import { Deafness } from './deafness.ts';
import { FrameTrace } from './frame-trace.ts';
import { replaceGlobals } from './globals.ts';
import { Loop, Owner, type Task } from './loop.ts';
import { isListed, nameOf, watchMachines } from './machines.ts';
import { RedisLink, type RedisLinkParts } from './redis-link.ts';
import { configOf, drawnSettings, KEY_PREFIX, PARTITIONS, type Settings } from './settings.ts';
import { SimulatedClient } from './simulated-client.ts';
import { SimulatedCluster } from './simulated-cluster.ts';
import { SimulatedNode } from './simulated-node.ts';
import { WebSocketLink } from './web-socket-link.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly clients: number;
  /** How long clients wait at most before they try again. */
  readonly reconnectCapMs?: number | undefined;
  /** A second, where the rate of rooms has a limit. Default 0: none. */
  readonly fewPublishes?: number;
  /** In place of what is drawn. */
  readonly settings?: Partial<Settings> | undefined;
  /** Nothing happens any more after the first violation. Default false. */
  readonly stopsAtFirst?: boolean;
  /** Clients and rooms whose frames are traced. Default: none. */
  readonly frames?: readonly string[] | undefined;
  /** Redis is a cluster. Default false. */
  readonly isCluster?: boolean;
}

const RECONNECT_CAP_MS = 2_000;

/** Rooms by the first part of their name: `chat` keeps much, `short` little, `live` nothing. */
export const ROOMS = ['chat:a', 'chat:b', 'short:a', 'live:a'];

export const NAMES = new Keys(KEY_PREFIX, PARTITIONS);

/** A server of Redis that has keys by right. */
export interface Store {
  readonly redis: RedisModel;
  readonly owner: Owner;
}

/** A user whom the server API keeps out of a room. */
export interface KeptOut {
  readonly room: string;
  readonly user: string;
  readonly sinceMs: number;
}

/** As `Revoked` of nodes, with the time. */
export interface Revoked {
  readonly kind: 'user' | 'token';
  readonly id: string;
  readonly issuedBeforeMs?: number;
  readonly sinceMs: number;
  untilMs: number;
  /** Nobody knows whether it was stored. */
  isDoubtful: boolean;
}

/** `SIMULATION_STACKS=1` says who asked for them. */
export function shownTasks(tasks: readonly Task[]): string {
  return `${tasks.length} timers ${tasks.map(({ dueMs, stack = '' }) => `due at ${dueMs} ${stack}`).join(', ')}`;
}

/** What a run counts. */
export interface Counts {
  [what: string]: number;
}
type LinkEnd = Pick<RedisLinkParts, 'redis' | 'model' | 'refuses'>;

/** Where the one Redis is. */
const REDIS_HOST = '203.0.113.1';
/** Where the Redis is that a replica took over from. */
export const FORMER_HOST = '203.0.113.2';

export class World {
  readonly loop: Loop;
  readonly random: Random;
  readonly redis: RedisModel;
  /** What was the primary before, if it lives: at `FORMER_HOST`. */
  formerRedis: RedisModel | null = null;
  readonly redisOwner = new Owner('redis');
  /** Null: there is one Redis, which is `redis`. */
  readonly cluster: SimulatedCluster | null;
  readonly nodes: (SimulatedNode | null)[] = [];
  readonly clients: SimulatedClient[] = [];
  readonly redisLinks = new Set<RedisLink>();
  /** How many links to Redis a machine has made. */
  readonly connects = new Map<Owner, number>();
  readonly links = new Set<WebSocketLink>();
  readonly violations: string[] = [];
  readonly lines: string[] = [];
  readonly counts: Counts = {};
  /** Nodes that were started, dead ones included. */
  readonly lives: SimulatedNode[] = [];
  /** Nodes that cannot reach Redis, by place, and how they notice. */
  readonly cutOff = new Map<number, 'refused' | 'silent'>();
  readonly deafness: Deafness;
  /** Clients without a network. */
  readonly offline = new Set<Owner>();
  /** Whom the server API keeps out of rooms. */
  readonly keptOut: KeptOut[] = [];
  /** What the server API was answered. */
  readonly fromServer: Acknowledged[] = [];
  readonly clears = new Clears();
  readonly dataOrder = new DataOrder({
    forgot: (room) => this.forgot(room),
    violation: (what) => this.violation(what),
    after: (delayMs, work) => void this.loop.after(delayMs, work, this.loop.world),
  });
  /** Rooms with users of whom it is not known whether they are kept out. */
  readonly inDoubt = new Set<string>();
  /** Whom the server API let in again. */
  readonly letIn: KeptOut[] = [];
  /** Users and tokens that the server API revoked. */
  readonly revoked: Revoked[] = [];
  /** When Redis lost everything without a word, the last time. */
  flushedAtMs = Number.NEGATIVE_INFINITY;
  /** A client was told to stop, and its user is back some time later. */
  whenBack: (() => void) | null = null;
  /** A node was told to stop, and has. */
  whenStopped: ((node: SimulatedNode) => void) | null = null;
  /** So long at most packets to and from Redis take longer. */
  redisDelayMs = 0;
  /** Redis forgot keys: a retry may be stored a second time. */
  hasForgotten = false;
  readonly settings: Settings;
  readonly #config: Config;
  readonly #rules: ReturnType<typeof compileRules>;
  readonly #options: WorldOptions;
  readonly #frames: FrameTrace;
  readonly #acked = new Map<string, Map<string, number>>();
  readonly #restore: () => void;
  readonly #unwatch: () => void;
  #digest = 0;
  #names = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#frames = new FrameTrace(options.frames ?? []);
    this.random = new Random(options.seed);
    this.settings = drawnSettings(options.seed, options.fewPublishes ?? 0, options.settings);
    this.#config = configOf(this.settings, options.isCluster === true ? SimulatedCluster.url : null);
    this.#rules = compileRules(this.#config);
    this.loop = new Loop(
      this.random,
      (error, owner) =>
        this.violation(`${owner.name} threw ${error instanceof Error ? error.stack : String(error)}`),
      (owner) => this.violation(`${owner.name} never rests: it asks for another turn in each turn`),
    );
    this.deafness = new Deafness(
      this.loop,
      () => [this.fromServer, ...this.clients.map(({ acknowledged }) => acknowledged)],
      () => this.isStoreTroubled,
    );
    this.redis = new RedisModel({
      nowMicros: () => this.loop.wallMsOf(this.redisOwner) * 1000,
      name: 'redis',
    });
    this.cluster =
      options.isCluster === true
        ? new SimulatedCluster({
            ...{ loop: this.loop, random: this.random, trace: this.trace },
            nodes: () => this.running.map(({ owner }) => owner),
          })
        : null;
    const code = new Random(options.seed ^ 0x5bd1e995);
    this.#restore = replaceGlobals(this.loop, code, (host) => this.#connect(host));
    this.#unwatch = watchMachines((machine, from, to) => {
      const name = nameOf(machine, from, to);
      this.count(name);
      if (!isListed(machine, from, to)) this.violation(`${name} is no transition`);
    });
    process.on('warning', this.#warned);
    for (let place = 0; place < options.nodes; place++) this.startNode(place);
  }

  /** The Redis, or the masters of a cluster. */
  get stores(): readonly Store[] {
    const { cluster } = this;
    if (cluster === null) return [{ redis: this.redis, owner: this.redisOwner }];
    return cluster.masters.map((server) => ({ redis: server.redis, owner: cluster.ownerOf(server) }));
  }

  /** What holds a key, if anything does: in a cluster its slot may have no master. */
  keysWith(key: string): { readonly keys: Keyspace; readonly nowMs: number } | null {
    const { cluster } = this;
    if (cluster === null) return { keys: this.redis.keys, nowMs: this.loop.wallMsOf(this.redisOwner) };
    const server = cluster.masterOf(key);
    return server === null
      ? null
      : { keys: server.redis.keys, nowMs: this.loop.wallMsOf(cluster.ownerOf(server)) };
  }

  /** Whether Redis forgot something of this room (null: of what is one for all nodes), or may have. */
  forgot(room: string | null): boolean {
    if (this.cluster === null) return this.hasForgotten;
    return this.cluster.mayLack(room === null ? NAMES.leases() : NAMES.meta(room));
  }

  /** Whether nodes may take this room for one that began anew, with the messages that it has. */
  mayRenumber(room: string): boolean {
    return this.cluster === null ? this.redis.runs > 1 : this.cluster.mayReset(NAMES.meta(room));
  }

  /** Something is wrong with Redis. */
  get isStoreTroubled(): boolean {
    if (this.cluster !== null) return this.cluster.isTroubled;
    const { redis, redisOwner } = this;
    const isAway = this.redisDelayMs > 0 || this.isRedisDown || redisOwner.held !== null;
    return isAway || redis.isFull || redis.refusal !== null;
  }

  /** Puts the globals of the process back. */
  dispose(): void {
    process.off('warning', this.#warned);
    this.#unwatch();
    this.#restore();
  }

  /** What a room keeps. */
  readonly keptIn = (room: string): RoomRule['history'] => this.#rules(room).history;

  /** Whether slow readers are given the newest message alone. */
  readonly skips = (room: string): boolean => this.#rules(room).slowReaders === 'latest';

  // ---- what is told --------------------------------------------------------------------------------------

  readonly trace = (what: string): void => {
    const line = this.#tell(what);
    for (let i = 0; i < line.length; i++)
      this.#digest = Math.imul(this.#digest ^ line.charCodeAt(i), 0x01000193) >>> 0;
  };

  #tell(what: string): string {
    const line = `${(this.loop.nowMs / 1000).toFixed(4)} ${what}`;
    this.lines.push(line);
    return line;
  }

  /** Not a part of the digest: a run is the same whether its frames are shown or not. */
  readonly #traceFrame = (client: string, frame: InspectedFrame): void => {
    const what = this.#frames.lineOf(client, frame);
    if (what !== null) this.#tell(what);
  };

  /** Of all that was traced and done: the same for the same run. */
  get digest(): string {
    const servers = this.cluster?.servers.map(({ redis }) => redis) ?? [this.redis];
    const commands = servers.reduce((sum, redis) => sum + redis.commands, 0);
    return `${this.#digest.toString(16)}-${this.loop.tasks}-${commands}`;
  }

  /** Node says so of a signal, a stream or a socket to which listeners are added again and again. */
  readonly #warned = ({ name, message }: Error): void => {
    if (name === 'MaxListenersExceededWarning') this.violation(`${name}: ${message}`);
  };

  violation(what: string): void {
    this.trace(`VIOLATION ${what}`);
    this.violations.push(what);
    if (this.#options.stopsAtFirst) this.loop.isStopped = true;
  }

  count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }

  // ---- nodes ---------------------------------------------------------------------------------------------

  startNode(place: number): void {
    const owner = new Owner(`node-${place}.${++this.#names}`);
    const complain = (what: string) => this.violation(`${owner.name} logged an error: ${what}`);
    this.loop.as(owner, () => {
      const node = new SimulatedNode({ owner, config: this.#config, complain });
      this.nodes[place] = node;
      this.lives.push(node);
      void node.start().then(() => {
        this.trace(
          `${owner.name} (${node.core.node.nodeId}) ${node.state}${node.problem ? `: ${node.problem}` : ''}`,
        );
        if (node.state === 'failed')
          this.loop.after(1_000, () => this.#startAgain(place, node), this.loop.world);
      });
    });
  }

  /** As an orchestrator would, unless another one has the place meanwhile, or has left it. */
  #startAgain(place: number, node: SimulatedNode): void {
    if (this.nodes[place] === node) this.startNode(place);
  }

  /** The process is gone. `silent`: the machine is, so that nobody is told. */
  killNode(place: number, silent: boolean): void {
    const node = this.nodes[place];
    if (!node) return;
    this.nodes[place] = null;
    node.owner.isDead = true;
    for (const link of this.redisLinksOf(node)) link.cut(silent);
    for (const link of this.linksOf(node)) link.cut('the node is gone', silent);
  }

  /** Until it is drained. */
  drainNode(place: number): void {
    const node = this.nodes[place];
    if (node?.state !== 'running') return;
    this.loop.as(node.owner, () => {
      void node.stop(2_000).then(
        () => {
          this.trace(`${node.owner.name} stopped`);
          this.whenStopped?.(node);
          this.#checkStopped(node);
          if (this.nodes[place] === node) this.nodes[place] = null;
        },
        (error: unknown) => this.violation(`${node.owner.name} did not stop: ${error}`),
      );
    });
  }

  get running(): SimulatedNode[] {
    return this.nodes.filter((node): node is SimulatedNode => node?.state === 'running');
  }

  redisLinksOf(node: SimulatedNode): RedisLink[] {
    return [...this.redisLinks].filter((link) => link.node === node.owner);
  }

  linksOf(node: SimulatedNode): WebSocketLink[] {
    return [...this.links].filter((link) => link.to === node.owner);
  }

  linksOfClient(client: SimulatedClient): WebSocketLink[] {
    return [...this.links].filter((link) => link.client === client.owner);
  }

  #checkStopped(node: SimulatedNode): void {
    // What its last tasks left is gone a moment later.
    this.loop.after(
      5_000,
      () => {
        const left = this.loop.pendingOf(node.owner);
        if (left.length > 0) this.violation(`${node.owner.name} stopped and left ${shownTasks(left)}`);
        if (node.topics.size > 0)
          this.violation(`${node.owner.name} stopped and left ${node.topics.size} sockets and topics`);
      },
      this.loop.world,
    );
  }

  #connect(host: string): unknown {
    const { loop, random, connects } = this;
    connects.set(loop.current, (connects.get(loop.current) ?? 0) + 1);
    const place = this.nodes.findIndex((node) => node?.owner === loop.current);
    const link: RedisLink = new RedisLink({
      ...{ loop, random, node: loop.current },
      host: this.cluster === null ? REDIS_HOST : host,
      ...(this.cluster === null ? this.#oneRedis(host, place) : this.#serverOf(this.cluster, host, place)),
      latencyMs: () => this.#latencyMs() + this.random.next() * this.redisDelayMs,
      over: () => this.redisLinks.delete(link),
    });
    this.redisLinks.add(link);
    return link.socket;
  }

  #oneRedis(host: string, place: number): LinkEnd {
    const model = host === FORMER_HOST ? this.formerRedis : this.redis;
    const refuses = () => (this.isRedisDown || model === null ? 'refused' : (this.cutOff.get(place) ?? null));
    return { redis: this.redisOwner, model: model ?? this.redis, refuses };
  }

  #serverOf(cluster: SimulatedCluster, host: string, place: number): LinkEnd {
    const server = cluster.model.at(host);
    if (server === undefined) throw new Error(`no server of the cluster is at ${host}`);
    const refuses = () => cluster.absence(server, place) ?? this.cutOff.get(place) ?? null;
    return { redis: cluster.ownerOf(server), model: server.redis, refuses };
  }

  isRedisDown = false;

  /** Mostly a fraction of a millisecond, sometimes much more. */
  #latencyMs(): number {
    const chance = this.random.next();
    if (chance < 0.02) return this.random.next() * 200;
    return 0.1 + chance * chance * 3;
  }

  // ---- clients -------------------------------------------------------------------------------------------

  /** `place`: of the node that it tries first. */
  addClient(place?: number): SimulatedClient {
    const { random } = this;
    const number = this.clients.length;
    const owner = new Owner(`client-${number}`);
    const drawn = random.whole(0, this.#options.nodes - 1);
    const first = place ?? drawn;
    const urls = Array.from(
      { length: this.#options.nodes },
      (_, i) => `ws://node-${(first + i) % this.#options.nodes}/ws`,
    );
    const user = random.next() < 0.7 ? `user-${random.whole(0, 4)}` : null;
    let client!: SimulatedClient;
    const parts = {
      owner,
      urls,
      encoding: random.pick(['msgpack', 'msgpack', 'json'] as const),
      user,
      tokenLifeMs: random.next() < 0.5 ? random.whole(20_000, 60_000) : null,
      isRestless: number % 4 === 3,
      reconnectCapMs: this.#options.reconnectCapMs ?? RECONNECT_CAP_MS,
      openSocket: (url: string, protocol: string) => this.#openSocket(owner, url, protocol),
      complain: (what: string) => this.violation(what),
      trace: this.trace,
      frame: this.#traceFrame,
      dataOrder: this.dataOrder,
      acking: (who: string, room: string) => this.#acking(who, room),
      stopped: () =>
        this.loop.after(this.random.whole(1_000, 5_000), () => this.whenBack?.(), this.loop.world),
    };
    this.loop.as(owner, () => {
      client = new SimulatedClient(parts);
    });
    this.clients.push(client);
    return client;
  }

  #openSocket(client: Owner, url: string, protocol: string) {
    const place = Number(/node-(\d+)/.exec(url)?.[1]);
    const node = this.nodes[place];
    const link: WebSocketLink = new WebSocketLink(
      {
        loop: this.loop,
        client,
        // A process that is gone cannot answer: its machine does.
        to: node?.owner ?? this.loop.world,
        latencyMs: () => this.#latencyMs(),
        windowBytes: this.random.pick([0, 4_096, 65_536]),
        knocked: (knocking) => {
          if (!node || node.owner.isDead || this.offline.has(client)) return null;
          node.knocked(knocking);
          return node.owner;
        },
        over: () => this.links.delete(link),
      },
      url,
      protocol,
    );
    this.links.add(link);
    this.count('connections');
    return link.socket;
  }

  /** What is stored only grows: no answer is behind one that came before its ack was sent. */
  #acking(user: string, room: string): (epoch: string, offset: number) => void {
    const known = new Map(this.#acked.get(`${user} ${room}`));
    return (epoch, offset) => {
      this.count('acks');
      const before = known.get(epoch) ?? 0;
      if (!this.forgot(room) && offset < before)
        this.violation(`ack of ${user} in ${room} went back from ${before} to ${offset}`);
      const now = this.#acked.get(`${user} ${room}`) ?? new Map<string, number>();
      this.#acked.set(`${user} ${room}`, now.set(epoch, Math.max(now.get(epoch) ?? 0, offset)));
    };
  }
}
