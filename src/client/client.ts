/** One connection to a cluster that is kept alive, with rooms and publishes on it. */
import type { AckResult, HelloInfo, Position, PublishOptions, PublishResult } from '../protocol/frames.ts';
import { fields } from './codec.ts';
import { Connector } from './connector.ts';
import { Emitter, guarded } from './emitter.ts';
import { type Environment, systemEnvironment } from './environment.ts';
import { ClosedError } from './errors.ts';
import { frameLog, type InspectedFrame, Inspector } from './inspector.ts';
import type { Snapshot } from './member-list.ts';
import { checkOptions, checkRoomOptions, checkSettings } from './name-checks.ts';
import {
  type Build,
  type ClientOptions,
  type KeptState,
  type Settings,
  webSocketUrl,
  withDefaults,
} from './options.ts';
import { PublishQueue } from './publish-queue.ts';
import { randomKey } from './random-key.ts';
import { Requests } from './requests.ts';
import { Room } from './room.ts';
import type { RoomOptions } from './room-events.ts';
import type {
  HistoryPage,
  HistorySettings,
  MembersSettings,
  PublishSettings,
  RequestSettings,
  RoomServices,
  SignalOutcome,
} from './room-services.ts';
import { Rooms } from './rooms.ts';
import type { Session } from './session.ts';
import type { ClientStatus, StatusChange } from './status.ts';
import { TokenSource } from './tokens.ts';
import { webSocketTransport } from './websocket-transport.ts';

/** Signals are dropped while so many bytes wait to leave. */
const MAX_UNSENT_BYTES = 64 * 1024;
const CLOSED_BY_US = 'close() was called';

export class BaseClient implements RoomServices {
  readonly #environment: Environment;
  readonly #build: Build;
  readonly #onError: (error: unknown) => void;
  readonly #inspector: Inspector;
  readonly #connector: Connector;
  readonly #queue: PublishQueue;
  readonly #requests: Requests;
  readonly #kept: KeptState | null;
  readonly #rooms: Rooms;
  readonly #emitter: Emitter<{ status: ClientStatus }>;
  #status: ClientStatus = Object.freeze({ state: 'idle', transport: 'websocket' });

  /** Connects when something needs a connection. Throws a TypeError for what is not a URL, and for options that do not exist. */
  constructor(url: string | readonly string[], given: ClientOptions, build: Build) {
    checkOptions(given);
    const options = withDefaults(given);
    const urls = [url].flat().map(webSocketUrl);
    if (urls.length === 0) throw new TypeError('pass the URL of a node');
    const system = systemEnvironment(options.WebSocket, build.findWebSocket, options.scheduler);
    const environment = { ...system, ...options.environment };
    const { codec } = build;
    this.#environment = environment;
    this.#build = build;
    const onError = guarded(options.onError ?? console.error, console.error);
    this.#onError = onError;
    this.#emitter = new Emitter(onError);
    const log = frameLog(options.debug, onError);
    this.#inspector = new Inspector(environment, codec, options.inspectFrames, log);
    this.#connector = this.#buildConnector(urls, options);
    const session = () => this.#connector.session;
    this.#requests = new Requests(session);
    this.#queue = new PublishQueue({
      environment,
      codec,
      limits: options.queue,
      changed: () => this.#kept?.changed(),
      settled: ({ room, options }, result) => {
        if (options.echo === false) this.#rooms.ownSettled(room, result);
      },
    });
    this.#rooms = new Rooms({
      environment,
      onError,
      session,
      isDoubtful: (room) => this.#queue.isDoubtful(room),
      kept: () => this.#kept,
    });
    const positions = () => this.#rooms.positions;
    this.#kept = options.storage?.({ environment, codec, queue: this.#queue, positions, onError }) ?? null;
  }

  /** What the client is doing: immutable, and replaced whole when it changes. */
  get status(): ClientStatus {
    return this.#status;
  }

  /** Publishes that have not settled. */
  get pending(): number {
    return this.#queue.entries.length;
  }

  /** Calls `listener` after each change of `status`, until the returned function is called. */
  onStatus(listener: (status: ClientStatus) => void): () => void {
    return this.#emitter.on('status', listener);
  }

  /** Connects. Everything that needs a connection does so by itself. Harmless when called again. */
  connect(): void {
    this.#connector.start();
  }

  /** For good: settles everything, leaves no timer and no listener. May be called twice. */
  close(): void {
    this.#connector.close(CLOSED_BY_US, null);
  }

  /**
   * A room: joined as soon as there is a connection, and again on each new one. Rooms of the same name share one membership, with
   * the options of the first; the list of members is kept once anyone asks for it. Throws `ClosedError` when the client is closed,
   * and a TypeError for options that do not exist.
   */
  room<T = unknown, S = unknown, P = unknown>(name: string, options: RoomOptions<P> = {}): Room<T, S, P> {
    this.#refuseWhenClosed();
    checkRoomOptions(options);
    const room = new Room<T, S, P>(this.#rooms.use(name, options), this);
    this.connect();
    return room;
  }

  /** Publishes; the room need not be joined, unless its rule says so. See `Room.publish`. */
  async publish(room: string, data: unknown, settings: PublishSettings = {}): Promise<PublishResult> {
    this.#refuseWhenClosed();
    checkSettings(settings);
    const { key = randomKey(), echo, conflateKey, abort } = settings;
    const options = fields<PublishOptions>({ key, echo: echo === false ? echo : undefined, conflateKey });
    const stored = this.#queue.add({ room, data: this.#build.codec.pack(data), options }, abort);
    // After that: listeners of the status may close the client, which settles what is in the queue.
    this.connect();
    return stored;
  }

  /**
   * See `Room.signal`. With `answered` the node is asked for an answer. It is called once for each signal that is sent: with null
   * when the node has passed it on, else with a `RefusedError` or a `DisconnectedError`, after which nobody knows.
   */
  signal(
    room: string,
    data: unknown,
    echo = false,
    answered: ((error: Error | null) => void) | null = null,
  ): SignalOutcome {
    const { session } = this.#connector;
    if (session === null || session.bufferedBytes > MAX_UNSENT_BYTES || session.waitMs(0) > 0)
      return 'dropped';
    const options = fields<PublishOptions>({ ephemeral: true, echo: echo ? undefined : false });
    session.publish(room, this.#build.codec.pack(data), options, answered);
    return 'sent';
  }

  /** See `Room.history`. */
  history(room: string, settings?: HistorySettings): Promise<HistoryPage> {
    this.connect();
    return this.#requests.history(room, settings);
  }

  /** See `Room.listMembers`. */
  listMembers(room: string, settings?: MembersSettings): Promise<Snapshot> {
    this.connect();
    return this.#requests.listMembers(room, settings);
  }

  /** See `Room.ack`. */
  ack(room: string, position: Position, settings?: RequestSettings): Promise<AckResult> {
    this.connect();
    return this.#requests.ack(room, position, settings);
  }

  /** The last frames both ways, oldest first, without tokens: for bug reports. */
  inspect(): readonly InspectedFrame[] {
    return this.#inspector.frames;
  }

  /** Drops the connection as a broken link would; the client comes back by itself. For demos and tests. */
  dropConnection(): void {
    this.#connector.drop('dropConnection() was called');
  }

  #buildConnector(urls: readonly string[], options: Settings): Connector {
    const environment = this.#environment;
    const { codec, loadFallback } = this.#build;
    return new Connector(
      {
        urls,
        codec,
        environment,
        tokens: new TokenSource(environment, options.token, options.getToken),
        inspector: this.#inspector,
        timing: options.timing,
        transport: webSocketTransport(environment),
        loadFallback:
          loadFallback && options.fallback !== false ? () => loadFallback(environment, codec) : null,
        // What was kept over a reload comes before the first connection.
        prepared: async () => {
          await this.#kept?.loaded;
          this.#rooms.place();
        },
      },
      {
        connecting: (attempt) => this.#setStatus({ state: 'connecting', attempt }),
        connected: (session, hello, user) => this.#connected(session, hello, user),
        push: (frame) => this.#rooms.take(frame),
        failed: this.#onError,
        lost: () => {
          this.#queue.disconnected();
          this.#rooms.disconnected();
        },
        waiting: (attempt, reason, delayMs) => {
          const retryAtMs = environment.scheduler.wallMs() + delayMs;
          this.#setStatus({ state: 'waiting', attempt, reason, retryAtMs });
        },
        closed: (reason, code) => this.#closed(reason, code),
      },
    );
  }

  /** Rooms first, then what waits to be published: all of it leaves together. */
  #connected(session: Session, { connection, node, dedupWindowMs }: HelloInfo, user: string | null): void {
    this.#rooms.join();
    this.#queue.connected(session, dedupWindowMs);
    this.#requests.connected();
    // Unless a listener of a room ended it.
    if (session.isReady) this.#setStatus({ state: 'connected', connection, node, user });
  }

  #closed(reason: string, code: number | null): void {
    const error = new ClosedError(reason);
    // First: listeners that run below find the client closed.
    this.#setStatus({ state: 'closed', reason, code });
    this.#emitter.clear();
    this.#queue.close(reason);
    this.#requests.close(error);
    // What was rejected is not kept: it must not be published after all.
    this.#kept?.close();
    this.#rooms.leave(reason === CLOSED_BY_US ? null : error);
  }

  #refuseWhenClosed(): void {
    const { status } = this;
    if (status.state === 'closed') throw new ClosedError(status.reason);
  }

  #setStatus(change: StatusChange): void {
    this.#status = Object.freeze({ ...change, transport: this.#connector.transport });
    this.#emitter.emit('status', this.#status);
  }
}
