/**
 * A Redis Cluster in a simulated world: its servers are machines with clocks of their own, that reach each other after a while, find out
 * that one of them is gone, and have a replica take its place.
 */

import { slotOf } from '../../../src/backplane/redis/keys/slots.ts';
import type { Random } from '../../support/random.ts';
import { ClusterModel } from '../redis/cluster/cluster-model.ts';
import type { ClusterServer } from '../redis/cluster/cluster-server.ts';
import { NOBODY } from '../redis/cluster/view.ts';
import { DepartedSlots } from './departed-slots.ts';
import { type Loop, Owner } from './loop.ts';
import { Strangers } from './strangers.ts';
import { USED_SLOTS } from './used-slots.ts';

export interface SimulatedClusterParts {
  readonly loop: Loop;
  readonly random: Random;
  readonly trace: (what: string) => void;
  /** Nodes that run. */
  readonly nodes: () => readonly Owner[];
}

/** A promotion that may have lost writes. */
export interface Loss {
  readonly slots: ReadonlySet<number>;
  readonly atMs: number;
  /** How many writes the one before had that this one lacks, when it took over. */
  readonly writes: number;
}

/** How a server cannot be reached. */
export type Absence = 'refused' | 'silent';

const MASTERS = 3;
/** Servers believe that one is gone after this. */
export const NODE_TIMEOUT_MS = 2_000;
const RESTART_DELAY_MS = 2_000;
const TICK_MS = 100;
const ELECTION_MS = 500;
/** So long after the last trouble nodes still find out what became of everything. */
const CALMS_DOWN_MS = 6_000;

export class SimulatedCluster {
  readonly model: ClusterModel;
  readonly losses: Loss[] = [];
  /**
   * Slots of masters that started again, or handed over while a node could not reach them, and those that had left such a one while a
   * node was away: nodes that were not there before cannot know that they lack nothing.
   */
  readonly #doubted = new Set<number>();
  readonly #departed: DepartedSlots<ClusterServer>;
  readonly #strangers: Strangers<ClusterServer>;
  /** By what is going on, and with which servers: one thing at a time with each. */
  readonly busy = new Set<ClusterServer>();
  /** What servers tell each other takes so long at most. */
  gossipMs = 5;
  /** Nodes that cannot reach a server: `<place of the node> <number of the server>`. */
  readonly cutOff = new Map<string, Absence>();
  /** Without a master for some slots nobody serves any. */
  readonly needsAll: boolean;
  readonly #parts: SimulatedClusterParts;
  readonly #owners: Owner[] = [];
  /** Those that do not run. */
  readonly #away = new Map<ClusterServer, Absence>();
  /** Those that others do not hear. */
  readonly #isolated = new Set<ClusterServer>();
  /** Since when each is frozen, gone or isolated. */
  readonly #lostSinceMs = new Map<ClusterServer, number>();
  /** Masters that are being replaced. */
  readonly #electing = new Set<ClusterServer>();
  /** When a server that was down may say again that all is well. */
  readonly #upAtMs = new Map<ClusterServer, number>();
  readonly #waiting = new Map<ClusterServer, (() => void)[]>();
  readonly #lastDueMs = new Map<string, number>();
  #troubledAtMs = Number.NEGATIVE_INFINITY;
  #isBuilt = false;

  constructor(parts: SimulatedClusterParts) {
    this.#parts = parts;
    this.needsAll = parts.random.next() < 0.5;
    this.#departed = new DepartedSlots({ nowMs: () => parts.loop.nowMs, nodes: parts.nodes });
    this.#strangers = new Strangers(() => parts.loop.nowMs);
    this.model = new ClusterModel({
      ...{ masters: MASTERS, replicas: 1 },
      place: (number) => ({ host: hostOf(number), port: 6379 }),
      nowMicros: (number) => parts.loop.wallMsOf(this.#ownerAt(number)) * 1000,
      send: (from, to, arrived) => this.#send(from, to, arrived),
      follows: (replica, master, sync) => this.#follows(replica, master, sync),
    });
    this.#isBuilt = true;
    this.#noteReplicas();
    this.#tick();
  }

  /** For `redis.url`. */
  static get url(): string {
    return Array.from({ length: MASTERS }, (_, number) => `redis://${hostOf(number)}:6379`).join(',');
  }

  get servers(): readonly ClusterServer[] {
    return this.model.servers;
  }

  ownerOf({ number }: ClusterServer): Owner {
    return this.#ownerAt(number);
  }

  /** Masters that have slots by right, each once. */
  get masters(): ClusterServer[] {
    return this.servers.filter((server) => server.isMaster && this.#hasSlots(server));
  }

  /** The master that has what is about a room or, with null, about no room. */
  masterOf(key: string): ClusterServer | null {
    return this.model.owner(slotOf(key));
  }

  /** Why nobody takes a connection of a node, or null. */
  absence(server: ClusterServer, place: number): Absence | null {
    return this.#away.get(server) ?? this.cutOff.get(`${place} ${server.number}`) ?? null;
  }

  /** Whether a node cannot reach the master that has this key. */
  isCutOff(place: number, key: string): boolean {
    const master = this.masterOf(key);
    return master !== null && this.cutOff.has(`${place} ${master.number}`);
  }

  /** Whether it runs, answers and is heard. */
  isWell(server: ClusterServer): boolean {
    return !this.#lostSinceMs.has(server);
  }

  /** Something is wrong, or was a moment ago. */
  get isTroubled(): boolean {
    return this.#parts.loop.nowMs - this.#troubledAtMs < CALMS_DOWN_MS;
  }

  /** Whether a promotion may have lost what is in the slot of this key. */
  mayLack(key: string): boolean {
    return this.#lossesOf(key).length > 0;
  }

  /** Whether nodes may tell of a reset in the slot of this key. */
  mayReset(key: string): boolean {
    return this.mayLack(key) || this.#doubted.has(slotOf(key));
  }

  trouble(): void {
    this.#troubledAtMs = this.#parts.loop.nowMs;
  }

  /** A slot is about to get another master. */
  moves(slot: number, target: ClusterServer): void {
    if (this.#strangers.meet(target)) this.#doubted.add(slot);
  }

  /** A slot has another master. */
  moved(slot: number, source: ClusterServer): void {
    this.#departed.note(slot, source);
  }

  // ---- what happens to servers ---------------------------------------------------------------------------

  freeze(server: ClusterServer): void {
    this.#parts.loop.freeze(this.ownerOf(server));
    this.#lost(server);
  }

  /** It goes on, and learns what happened meanwhile a moment later than it reads what clients have sent. */
  thaw(server: ClusterServer): void {
    const { loop, random } = this.#parts;
    loop.thaw(this.ownerOf(server));
    const waiting = this.#waiting.get(server) ?? [];
    this.#waiting.delete(server);
    let dueMs = random.next() < 0.5 ? 0 : random.whole(0, 60);
    for (const arrived of waiting) {
      dueMs += random.next();
      loop.after(dueMs, arrived, loop.world);
    }
    this.#found(server);
  }

  /** `how`: what nodes notice who connect meanwhile. */
  kill(server: ClusterServer, how: Absence): void {
    this.#away.set(server, how);
    this.#lost(server);
    for (const connection of server.redis.connections) {
      if (how === 'refused') connection.end();
      else connection.closed();
    }
  }

  /** It runs again with what it had, as far as that is still worth anything. */
  restart(server: ClusterServer): void {
    this.#away.delete(server);
    server.redis.isPaused = false;
    for (const slot of server.view.slotsOf(server.number)) this.#doubted.add(slot);
    server.redis.restart(server.redis.keys);
    server.view.migrating.clear();
    server.view.isDown = true;
    server.view.changed();
    this.#upAtMs.set(server, this.#parts.loop.nowMs + RESTART_DELAY_MS);
    this.#found(server);
    for (const replica of this.model.replicasOf(server)) this.model.follows(replica, server);
    if (server.isMaster) return;
    server.behind ??= { keys: server.redis.keys, offset: server.redis.offset };
    this.model.follows(server, this.servers[server.view.me.master!]!);
  }

  /** Other servers do not hear it any more; nodes do. */
  isolate(server: ClusterServer): void {
    this.#isolated.add(server);
    this.leaveBehind(server);
    this.#lost(server);
  }

  rejoin(server: ClusterServer): void {
    this.#isolated.delete(server);
    this.#found(server);
    for (const replica of this.model.replicasOf(server)) this.model.follows(replica, server);
  }

  /** Its replicas lack what it writes from now on. */
  leaveBehind(master: ClusterServer): void {
    for (const replica of this.model.replicasOf(master)) {
      replica.behind ??= { keys: master.redis.keys.copy(), offset: master.redis.offset };
    }
  }

  /** They have everything again, soon. */
  catchUp(master: ClusterServer): void {
    for (const replica of this.model.replicasOf(master)) this.model.follows(replica, master);
  }

  /** CLUSTER FAILOVER. Returns whether there is a replica for it. */
  handOver(master: ClusterServer): boolean {
    const { loop, random, trace } = this.#parts;
    const [replica] = this.model.replicasOf(master).filter((one) => this.isWell(one) && one.behind === null);
    if (replica === undefined) return false;
    this.trouble();
    master.redis.pause();
    const done = () => {
      if (!this.isWell(master) || !this.isWell(replica) || !master.isMaster || replica.behind !== null)
        return void loop.after(5_000, () => master.redis.resume(), loop.world);
      trace(`${nameOf(replica)} takes over from ${nameOf(master)}, with everything`);
      this.trouble();
      this.#doubtDeparted(master);
      // A node that cannot reach it gets no proof.
      if (this.#isCutOff(master))
        for (const slot of replica.view.slotsOf(master.number)) this.#doubted.add(slot);
      this.model.handOver(replica, master);
      this.#promoted(replica);
      this.#noteReplicas();
    };
    loop.after(1 + random.next() * 30, done, loop.world);
    return true;
  }

  /** A replica takes over with what it has. */
  takeOver(replica: ClusterServer, master: ClusterServer): void {
    const { trace, loop } = this.#parts;
    const keys = replica.behind?.keys ?? master.redis.keys.copy();
    const offset = replica.behind?.offset ?? master.redis.offset;
    const slots = new Set(replica.view.slotsOf(master.number));
    const writes = master.redis.offset - offset;
    this.losses.push({ slots, atMs: loop.nowMs, writes });
    this.#doubtDeparted(master);
    this.trouble();
    replica.takeOver(keys, offset);
    this.#promoted(replica);
    trace(`${nameOf(replica)} takes over from ${nameOf(master)}, without ${writes} writes`);
    this.#noteReplicas();
  }

  // ---- between servers -----------------------------------------------------------------------------------

  #send(from: ClusterServer, to: ClusterServer, arrived: () => void): void {
    if (!this.#isBuilt) return arrived();
    const { loop, random } = this.#parts;
    if (this.#away.has(from) || this.#isApart(from, to)) return;
    const key = `${from.number} ${to.number}`;
    const delayMs = random.next() < 0.9 ? 0.2 + random.next() : random.next() * this.gossipMs;
    // What one server tells another arrives in order.
    const dueMs = Math.max(this.#lastDueMs.get(key) ?? 0, loop.nowMs + delayMs);
    this.#lastDueMs.set(key, dueMs);
    loop.after(dueMs - loop.nowMs, () => this.#deliver(from, to, arrived), loop.world);
  }

  #deliver(from: ClusterServer, to: ClusterServer, arrived: () => void): void {
    if (this.#away.has(to) || this.#isApart(from, to)) return;
    if (this.ownerOf(to).held === null) return this.#parts.loop.as(this.ownerOf(to), arrived);
    const waiting = this.#waiting.get(to) ?? [];
    waiting.push(arrived);
    this.#waiting.set(to, waiting);
  }

  #isApart(from: ClusterServer, to: ClusterServer): boolean {
    return this.#isolated.has(from) || this.#isolated.has(to);
  }

  #follows(replica: ClusterServer, master: ClusterServer, sync: () => void): void {
    if (!this.#isBuilt) return sync();
    const { loop, random } = this.#parts;
    const tryIt = () => {
      const isOver = replica.view.me.master !== master.number || replica.isMaster;
      if (isOver) return;
      const canSync = this.isWell(replica) && this.isWell(master) && master.isMaster;
      if (!canSync) return void loop.after(500, tryIt, loop.world);
      sync();
      this.#noteReplicas();
    };
    loop.after(random.pick([2, 10, 60, 400]) * (0.5 + random.next()), tryIt, loop.world);
  }

  /** INFO names them. */
  #noteReplicas(): void {
    for (const server of this.servers) {
      server.redis.replicas = this.model
        .replicasOf(server)
        .filter((replica) => replica.behind === null && this.isWell(replica))
        .map(({ host }) => host);
    }
  }

  #lost(server: ClusterServer): void {
    this.trouble();
    this.#lostSinceMs.set(server, this.#parts.loop.nowMs);
    this.#doubtDeparted(server);
    // A replica that is away copies nothing.
    if (server.isMaster) return;
    const master = this.servers[server.view.me.master!]!;
    server.behind ??= { keys: master.redis.keys.copy(), offset: master.redis.offset };
  }

  #found(server: ClusterServer): void {
    const { loop, random } = this.#parts;
    this.trouble();
    this.#lostSinceMs.delete(server);
    // Each tells the other what it missed.
    loop.after(random.next() * 40, () => this.#exchange(server), loop.world);
    if (!server.isMaster) this.model.follows(server, this.servers[server.view.me.master!]!);
    this.#noteReplicas();
  }

  #exchange(server: ClusterServer): void {
    if (!this.isWell(server)) return;
    server.tell();
    for (const other of this.servers) {
      if (other === server || !this.isWell(other)) continue;
      const header = other.view.header();
      this.#send(other, server, () => server.heard(header));
    }
  }

  /** Whether some node does not reach it. */
  #isCutOff({ number }: ClusterServer): boolean {
    return [...this.cutOff.keys()].some((key) => key.endsWith(` ${number}`));
  }

  #promoted(server: ClusterServer): void {
    const isUsed = USED_SLOTS.some((slot) => server.view.owners[slot] === server.number);
    this.#strangers.promoted(server, isUsed);
  }

  #doubtDeparted(server: ClusterServer): void {
    for (const slot of this.#departed.unnoticed(server)) this.#doubted.add(slot);
  }

  // ---- who is believed to be gone ------------------------------------------------------------------------

  #tick(): void {
    const { loop } = this.#parts;
    if (this.#lostSinceMs.size > 0 || this.servers.some(({ view }) => view.isDown)) this.trouble();
    if (this.isTroubled) {
      for (const server of this.servers) this.#review(server);
      for (const [server, sinceMs] of this.#lostSinceMs) {
        if (loop.nowMs - sinceMs >= NODE_TIMEOUT_MS) this.#mayReplace(server);
      }
    }
    loop.after(TICK_MS, () => this.#tick(), loop.world);
  }

  /** Whether `server` believes that it can reach the other one. */
  #reaches(server: ClusterServer, other: ClusterServer): boolean {
    if (server === other) return true;
    const sinceMs = Math.min(
      this.#lostSinceMs.get(other) ?? Number.POSITIVE_INFINITY,
      this.#isolated.has(server) ? this.#lostSinceMs.get(server)! : Number.POSITIVE_INFINITY,
    );
    return this.#parts.loop.nowMs - sinceMs < NODE_TIMEOUT_MS;
  }

  #review(server: ClusterServer): void {
    const { view } = server;
    if (this.#away.has(server) || this.ownerOf(server).held !== null) return;
    const { nowMs } = this.#parts.loop;
    const { masters } = view;
    const reached = masters.filter(({ number }) => this.#reaches(server, this.servers[number]!)).length;
    const hasMinority = reached < Math.floor(masters.length / 2) + 1;
    const isUncovered = this.needsAll && this.#isUncovered(server);
    if (hasMinority) this.#upAtMs.set(server, nowMs + NODE_TIMEOUT_MS);
    const isDown = hasMinority || isUncovered || nowMs < (this.#upAtMs.get(server) ?? 0);
    if (isDown === view.isDown) return;
    view.isDown = isDown;
    view.changed();
    this.#parts.trace(`${nameOf(server)} says that the cluster is ${isDown ? 'down' : 'fine'}`);
  }

  #isUncovered({ view }: ClusterServer): boolean {
    if (view.owners.includes(NOBODY)) return true;
    return [...view.known.values()].some(({ hasFailed, number }) => hasFailed && view.hasSlots(number));
  }

  /** The majority agrees that it is gone: a replica of it, if there is one, asks for their votes. */
  #mayReplace(master: ClusterServer): void {
    const { loop, random } = this.#parts;
    if (this.#electing.has(master) || !this.#hasQuorumAgainst(master)) return;
    this.#electing.add(master);
    for (const server of this.servers) if (this.isWell(server)) server.failed(master.number);
    const elect = () => {
      this.#electing.delete(master);
      const isStillGone = this.#lostSinceMs.has(master) && this.#hasQuorumAgainst(master);
      const [replica] = this.model
        .replicasOf(master)
        .filter((one) => this.isWell(one))
        .sort((a, b) => (b.behind?.offset ?? Infinity) - (a.behind?.offset ?? Infinity));
      if (!isStillGone || replica === undefined) return;
      if (replica.view.hasSlots(master.number)) this.takeOver(replica, master);
    };
    loop.after(ELECTION_MS + random.next() * 1_000, elect, loop.world);
  }

  #hasQuorumAgainst(master: ClusterServer): boolean {
    const voters = this.masters;
    return voters.filter((one) => one !== master && this.isWell(one)).length > voters.length / 2;
  }

  #hasSlots(server: ClusterServer): boolean {
    const { owners } = server.view;
    // Of who was replaced and has not heard of it, all slots are another's.
    for (
      let slot = owners.indexOf(server.number);
      slot !== -1;
      slot = owners.indexOf(server.number, slot + 1)
    )
      if (this.model.owner(slot) === server) return true;
    return false;
  }

  #lossesOf(key: string): Loss[] {
    const slot = slotOf(key);
    return this.losses.filter(({ slots }) => slots.has(slot));
  }

  #ownerAt(number: number): Owner {
    this.#owners[number] ??= new Owner(`redis-${number}`);
    return this.#owners[number];
  }
}

export function nameOf({ number }: ClusterServer): string {
  return `redis-${number}`;
}

function hostOf(number: number): string {
  return `10.0.0.${number + 1}`;
}
