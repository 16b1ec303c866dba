import { tokenAuthenticator } from '../auth/authenticator.ts';
import type { AckPage } from '../backplane/acks.ts';
import { MemoryStore } from '../backplane/memory/memory-backplane.ts';
import type { RoomsPage } from '../backplane/presence.ts';
import type { Config } from '../config/config.ts';
import type {
  HistoryResult,
  MembersOptions,
  MembersResult,
  Position,
  PublishResult,
} from '../protocol/frames.ts';
import type { ReaderEncoding } from '../protocol/subprotocol.ts';
import { type Logger, silentLog } from '../util/log.ts';
import { systemScheduler } from '../util/scheduler.ts';
import type { Cable, Handshake } from './cable.ts';
import { Network, type Target, type TestDevice, type TestWebSocketClass } from './network.ts';
import { NodeRun } from './node-run.ts';
import { configOf, type TestBrokerOptions } from './options.ts';
import * as api from './server-api.ts';
import { type MovableClock, TestClock } from './test-clock.ts';
import { type TestTokenClaims, TestTokens } from './test-tokens.ts';

/** A connection that the broker has now. */
export interface TestConnection {
  readonly id: string;
  readonly user: string | null;
  readonly encoding: ReaderEncoding;
  readonly rooms: readonly string[];
}

const HOST = 'roomcast.test';
/** In so many turns `bye` and the close frame reach every client that reads. */
const LAST_TURNS = 10;

/** Starts a broker in this process. Rejects with a `TypeError` that lists what is wrong with the settings. */
export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  return TestBroker.start(options);
}

/**
 * A node of Roomcast in the process of a test, on memory instead of Redis, with cables in memory instead of a
 * port. What clients do with it is what they do with any node; what happens to them is up to the test.
 */
export class TestBroker {
  /** For the client, together with `WebSocket`. */
  readonly url: string;
  /** Reaches this broker, and nothing else. */
  readonly WebSocket: TestWebSocketClass;
  /** Moves everything that depends on time: heartbeats, tokens, windows, delays, and clients that are given it. */
  readonly clock: MovableClock;
  readonly #clock: TestClock;
  readonly #config: Config;
  readonly #log: Logger;
  readonly #network: Network;
  readonly #tokens: TestTokens;
  #store = new MemoryStore();
  #run: NodeRun;
  #changing: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | null = null;

  private constructor(config: Config, { now, time, random, log }: TestBrokerOptions) {
    const startMs = Number(now ?? systemScheduler.wallMs());
    this.#config = config;
    this.#log = log ?? silentLog;
    this.#clock = new TestClock({
      startMs,
      runs: time !== 'manual',
      random: random ?? systemScheduler.random,
    });
    this.clock = this.#clock;
    const { secret, issuer, audience } = config.auth;
    const parts = { clock: this.#clock, log: this.#log };
    const authenticator = tokenAuthenticator(config.auth, parts)!;
    this.#tokens = new TestTokens({ authenticator, secret, issuer, audience, clock: this.#clock });
    this.#network = new Network(this.#clock, (cable, handshake) => this.#knocked(cable, handshake));
    this.url = `ws://${HOST}${config.websocket.path}`;
    this.WebSocket = this.#network.device().WebSocket;
    this.#run = this.#newRun();
  }

  /** See `startTestBroker`. */
  static async start(options: TestBrokerOptions): Promise<TestBroker> {
    const broker = new TestBroker(configOf(options), options);
    await broker.#run.start();
    return broker;
  }

  // ---- clients -------------------------------------------------------------------------------------------

  /** A second machine, whose WebSockets can be cut, paused or taken offline apart from others. */
  device(): TestDevice {
    return this.#network.device();
  }

  /** A token that the broker accepts, signed with `auth.secret`. */
  token(claims: TestTokenClaims): Promise<string> {
    return this.#tokens.mint(claims);
  }

  /** The connections that it has now. */
  get connections(): TestConnection[] {
    return [...this.#run.node.hub.connections()].map(({ id, user, codec, rooms }) => {
      return { id, user, encoding: codec.encoding, rooms: [...rooms] };
    });
  }

  /**
   * Resolves when nothing is on its way any more: after it, what has not arrived does not arrive, unless it
   * waits for time to pass.
   */
  settled(): Promise<void> {
    return this.#clock.settled();
  }

  // ---- trouble -------------------------------------------------------------------------------------------

  /**
   * Ends connections without a close frame, as when a network goes: what is on its way is lost, both ends see 1006.
   * `silent`: neither end is told. The broker finds out by its heartbeat, a client by asking. Returns how many.
   */
  cut(target?: Target, { silent = false }: { readonly silent?: boolean } = {}): number {
    const cables = this.#network.cablesOf(target);
    for (const cable of cables) silent ? cable.die() : cable.cut('the connection was cut');
    return cables.length;
  }

  /** The client stops reading: what it is sent waits at the broker, up to `websocket.backpressureBytes`. Returns how many. */
  pause(target?: Target): number {
    const cables = this.#network.cablesOf(target);
    for (const cable of cables) cable.pause();
    return cables.length;
  }

  /** The client reads again: first what waits. Returns how many. */
  resume(target?: Target): number {
    const cables = this.#network.cablesOf(target);
    for (const cable of cables) cable.resume();
    return cables.length;
  }

  /** From now on all that is sent, in either direction, takes so many milliseconds. */
  delay(milliseconds: number): void {
    if (!(milliseconds >= 0)) throw new RangeError(`a delay cannot be ${milliseconds} ms`);
    this.#network.latencyMs = milliseconds;
  }

  /** Cuts all connections, or those of a device, and lets none open until `goOnline`. Returns how many were cut. */
  goOffline(device?: TestDevice): number {
    return this.#network.goOffline(device);
  }

  goOnline(device?: TestDevice): void {
    this.#network.goOnline(device);
  }

  /**
   * The tokens of the user, minted or presented until now, have expired: the user's connections get the error
   * `token_expired` and are closed with 4002, and come back with a fresh token only. Returns how many.
   */
  expireToken(user: string): number {
    this.#tokens.expire(user);
    const connections = [...this.#run.node.hub.connections()].filter((one) => one.user === user);
    for (const connection of connections) {
      connection.identity = { ...connection.identity!, expiresAtMs: 0 };
      // The heartbeat is where a node looks at it.
      connection.ping();
    }
    return connections.length;
  }

  /**
   * The node stops as a node does, with `bye` and close 1012, and another one starts. Without `keepHistory`
   * (default true, as with Redis) rooms begin anew: clients that return with a position get `reset`, and nobody is
   * kept out of a room any more.
   */
  restart({ keepHistory = true }: { readonly keepHistory?: boolean } = {}): Promise<void> {
    return this.#change(async () => {
      if (this.#stopped !== null) throw new Error('the broker was stopped');
      await this.#run.stop();
      if (!keepHistory) this.#store = new MemoryStore();
      this.#run = this.#newRun();
      await this.#run.start();
      await this.settled();
    });
  }

  /** Stops the node, closes what is open, forgets its timers and those of clients on its clock. May be called twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#change(() => this.#stop());
    return this.#stopped;
  }

  // ---- the server API ------------------------------------------------------------------------------------

  /** As `POST /v1/publish`. Rejects for what that would refuse. */
  async publish(room: string, data: unknown, options: api.ServerPublishOptions = {}): Promise<PublishResult> {
    return api.publish(this.#run.node.server, this.#config.websocket.maxPayloadBytes, room, data, options);
  }

  /** As `GET /v1/rooms/:room/history`. */
  history(room: string, read: api.HistoryRead = {}): Promise<HistoryResult> {
    return api.history(this.#run.node.server, room, read);
  }

  /** As `GET /v1/rooms/:room/members`. */
  members(room: string, page: MembersOptions = {}): Promise<MembersResult> {
    return api.members(this.#run.node.server, room, page);
  }

  /** As `GET /v1/rooms`: rooms that have members. */
  rooms(): Promise<RoomsPage> {
    return api.rooms(this.#run.node.server);
  }

  /** As `GET /v1/rooms/:room/acks`: how far each user has read. */
  acks(room: string): Promise<AckPage> {
    return api.acks(this.#run.node.server, room);
  }

  /** As `POST /v1/rooms/:room/remove`. Resolves when the user's connections were told. */
  async remove(room: string, user: string, options: api.RemoveOptions = {}): Promise<void> {
    await api.remove(this.#run.node.server, room, user, options);
    await this.settled();
  }

  /** As `POST /v1/rooms/:room/add`. Resolves when the user's connections were told. */
  async add(room: string, user: string): Promise<void> {
    await api.add(this.#run.node.server, room, user);
    await this.settled();
  }

  /** As `DELETE /v1/rooms/:room/history`: resolves with the position in its answer when members were told. */
  async deleteHistory(room: string): Promise<Position> {
    const position = await api.deleteHistory(this.#run.node.server, room);
    await this.settled();
    return position;
  }

  /** As `POST /v1/users/:user/disconnect`: closes the user's connections with 4503. Resolves when they are closed. */
  async disconnect(user: string): Promise<void> {
    await this.#run.node.server.disconnectUser(user);
    await this.settled();
  }

  /**
   * As `POST /v1/revocations`: closes the connections of the user, or with the token, with 4505, and refuses them until the time is
   * over. Resolves when they are closed. `forMs: 0` ends it.
   */
  async revoke(what: api.RevocationTarget, options: api.RevokeOptions = {}): Promise<void> {
    await api.revoke(this.#run.node.server, what, options);
    await this.settled();
  }

  // ---- inside --------------------------------------------------------------------------------------------

  #newRun(): NodeRun {
    return new NodeRun({
      config: this.#config,
      clock: this.#clock,
      authenticator: this.#tokens,
      store: this.#store,
      log: this.#log,
    });
  }

  #knocked(cable: Cable, handshake: Handshake): void {
    if (this.#stopped !== null) cable.refuse('the broker was stopped');
    else if (handshake.url.host !== HOST) cable.refuse(`this WebSocket reaches only ${this.url}`);
    else this.#run.connect(cable, handshake);
  }

  async #stop(): Promise<void> {
    // What clients try from now on is refused at once.
    this.#network.latencyMs = 0;
    await this.#run.stop();
    // Not until all is quiet: it never is if a client reconnects at once, again and again.
    for (let turn = 0; turn < LAST_TURNS; turn++) await this.#clock.turn();
    this.cut();
    await this.#clock.turn();
    await this.#clock.stop();
  }

  /** One change at a time. */
  #change(work: () => Promise<void>): Promise<void> {
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => undefined);
    return done;
  }
}
