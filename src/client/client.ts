/** One connection to a cluster that is kept alive, with rooms and publishes on it. */
import type {
  AckResult,
  HelloInfo,
  HistoryResult,
  Position,
  PublishResult,
  ServerFrame,
} from '../protocol/frames.ts';
import { randomId } from '../util/ids.ts';
import { Connector } from './connector.ts';
import { Emitter } from './emitter.ts';
import { type Environment, systemEnvironment } from './environment.ts';
import { ClosedError } from './errors.ts';
import { frameLog, type InspectedFrame, Inspector } from './inspector.ts';
import type { Snapshot } from './member-list.ts';
import { Membership } from './membership.ts';
import { type Build, type ClientOptions, DEFAULTS, type KeptState, webSocketUrl } from './options.ts';
import { PublishQueue } from './publish-queue.ts';
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
import type { Session } from './session.ts';
import type { ClientStatus } from './status.ts';
import { TokenSource } from './tokens.ts';
import { webSocketTransport } from './websocket-transport.ts';

/** Characters of a random key: about 104 bits. */
const KEY_LENGTH = 20;
/** Signals are dropped while so many bytes wait to leave. */
const MAX_UNSENT_BYTES = 64 * 1024;
const CLOSED_BY_US = 'close() was called';

type StatusChange = ClientStatus extends infer S ? (S extends unknown ? Omit<S, 'transport'> : never) : never;

export class BaseClient implements RoomServices {
  readonly #environment: Environment;
  readonly #build: Build;
  readonly #onError: (error: unknown) => void;
  readonly #inspector: Inspector;
  readonly #connector: Connector;
  readonly #queue: PublishQueue;
  readonly #requests: Requests;
  readonly #kept: KeptState | null;
  readonly #memberships = new Map<string, Membership>();
  readonly #emitter: Emitter<{ status: ClientStatus }>;
  #status: ClientStatus = Object.freeze({ state: 'idle', transport: 'websocket' });

  /** Connects when something needs a connection. Throws a TypeError for what is not a URL. */
  constructor(url: string | readonly string[], options: ClientOptions, build: Build) {
    const urls = [url].flat().map(webSocketUrl);
    if (urls.length === 0) throw new TypeError('pass the URL of a node');
    const system = systemEnvironment(options.WebSocket, build.findWebSocket, options.scheduler);
    const environment = { ...system, ...options.environment };
    const { codec } = build;
    this.#environment = environment;
    this.#build = build;
    this.#onError = reporter(options.onError);
    this.#emitter = new Emitter(this.#onError);
    const { inspectFrames = DEFAULTS.inspectFrames } = options;
    this.#inspector = new Inspector(environment, codec, inspectFrames, frameLog(options.debug));
    this.#connector = this.#buildConnector(urls, options);
    this.#requests = new Requests(() => this.#connector.session);
    this.#queue = new PublishQueue({
      environment,
      codec,
      limits: { ...DEFAULTS.queue, ...options.queue },
      changed: () => this.#kept?.changed(),
      settled: ({ room, options }, result) => {
        if (options.echo === false) this.#memberships.get(room)?.ownSettled(result);
      },
    });
    const positions = () =>
      Array.from(this.#memberships, ([name, { position }]) => [name, position] as const);
    this.#kept =
      options.storage?.({ environment, codec, queue: this.#queue, positions, onError: this.#onError }) ??
      null;
  }

  /** What the client is doing: immutable, and replaced whole when it changes. */
  get status(): ClientStatus {
    return this.#status;
  }

  /** Publishes that have not settled. */
  get pending(): number {
    return this.#queue.size;
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
   * the options of the first; the list of members is kept once anyone asks for it. Throws `ClosedError` when the client is closed.
   */
  room<T = unknown, S = unknown, P = unknown>(name: string, options: RoomOptions<P> = {}): Room<T, S, P> {
    this.#refuseWhenClosed();
    let membership = this.#memberships.get(name);
    if (membership === undefined) {
      membership = this.#newMembership(name, options);
      membership.join();
    } else if (options.members) membership.watchMembers();
    this.connect();
    return new Room<T, S, P>(membership, this);
  }

  /** Publishes; the room need not be joined, unless its rule says so. See `Room.publish`. */
  async publish(room: string, data: unknown, settings: PublishSettings = {}): Promise<PublishResult> {
    this.#refuseWhenClosed();
    this.connect();
    const { key = randomId(KEY_LENGTH), echo, conflateKey, abort } = settings;
    const options = {
      key,
      ...(echo === false && { echo }),
      ...(conflateKey !== undefined && { conflateKey }),
    };
    return this.#queue.add({ room, data: this.#build.codec.pack(data), options }, abort);
  }

  /** See `Room.signal`. */
  signal(room: string, data: unknown, echo = false): SignalOutcome {
    const { session } = this.#connector;
    if (session === null || session.bufferedBytes > MAX_UNSENT_BYTES) return 'dropped';
    const options = { ephemeral: true, ...(!echo && { echo }) } as const;
    session.publish(room, this.#build.codec.pack(data), options, null);
    return 'sent';
  }

  /** See `Room.history`. */
  async history(room: string, { abort, ...asked }: HistorySettings = {}): Promise<HistoryPage> {
    this.connect();
    const page = await this.#requests.send<HistoryResult>((id) => ['history', id, room, asked], abort);
    const messages = page.messages.map(([, , offset, time, sender, data]) => {
      return { room, offset, time, sender, data };
    });
    return { position: [page.epoch, page.offset], messages };
  }

  /** See `Room.listMembers`. */
  listMembers(room: string, { abort, ...asked }: MembersSettings = {}): Promise<Snapshot> {
    this.connect();
    return this.#requests.send((id) => ['members', id, room, asked], abort);
  }

  /** See `Room.ack`. */
  ack(room: string, position: Position, { abort }: RequestSettings = {}): Promise<AckResult> {
    this.connect();
    return this.#requests.send((id) => ['ack', id, room, position], abort);
  }

  /** The last frames both ways, oldest first, without tokens: for bug reports. */
  inspect(): readonly InspectedFrame[] {
    return this.#inspector.frames;
  }

  /** Drops the connection as a broken link would; the client comes back by itself. For demos and tests. */
  dropConnection(): void {
    this.#connector.drop('dropConnection() was called');
  }

  #newMembership(name: string, options: RoomOptions): Membership {
    const membership = new Membership(name, options, {
      environment: this.#environment,
      onError: this.#onError,
      session: () => this.#connector.session,
      moved: () => this.#kept?.changed(),
      hasDoubtful: () => this.#queue.isDoubtful(name),
      released: () => this.#memberships.delete(name),
    });
    this.#memberships.set(name, membership);
    this.#place(membership);
    return membership;
  }

  #buildConnector(urls: readonly string[], options: ClientOptions): Connector {
    const environment = this.#environment;
    const { codec, loadFallback } = this.#build;
    const { reconnect, connectTimeoutMs, probeTimeoutMs } = options;
    return new Connector(
      {
        urls,
        codec,
        environment,
        tokens: new TokenSource(environment, options.token, options.getToken),
        inspector: this.#inspector,
        timing: { ...DEFAULTS.timing, ...defined({ ...reconnect, connectTimeoutMs, probeTimeoutMs }) },
        transport: webSocketTransport(environment),
        loadFallback:
          loadFallback && options.fallback !== false ? () => loadFallback(environment, codec) : null,
        prepared: () => this.#prepared(),
      },
      {
        connecting: (attempt) => this.#setStatus({ state: 'connecting', attempt }),
        connected: (session, hello, user) => this.#connected(session, hello, user),
        push: (frame) => this.#push(frame),
        failed: this.#onError,
        lost: () => this.#lost(),
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
    for (const membership of this.#memberships.values()) membership.join();
    this.#queue.connected(session, dedupWindowMs);
    this.#requests.connected(session);
    this.#setStatus({ state: 'connected', connection, node, user });
  }

  #push(frame: ServerFrame): void {
    const room = frame[1];
    if (typeof room === 'string') this.#memberships.get(room)?.take(frame);
  }

  #lost(): void {
    this.#queue.disconnected();
    for (const membership of this.#memberships.values()) membership.disconnected();
  }

  #closed(reason: string, code: number | null): void {
    const error = new ClosedError(reason);
    this.#queue.close(reason);
    this.#requests.close(error);
    // What was rejected is not kept: it must not be published after all.
    this.#kept?.close();
    for (const membership of this.#memberships.values()) {
      membership.leave(reason === CLOSED_BY_US ? null : error);
    }
    this.#memberships.clear();
    this.#setStatus({ state: 'closed', reason, code });
    this.#emitter.clear();
  }

  /** Before the first connection: what was kept over a reload. */
  async #prepared(): Promise<void> {
    await this.#kept?.loaded;
    for (const membership of this.#memberships.values()) this.#place(membership);
  }

  #place(membership: Membership): void {
    membership.placeAt(this.#kept?.positionOf(membership.name));
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

/** What reports errors: it never throws, since nobody could be told. */
function reporter(onError: (error: unknown) => void = (error) => console.error(error)) {
  return (error: unknown) => {
    try {
      onError(error);
    } catch (thrown) {
      console.error(thrown);
    }
  };
}

/** Options that were passed as undefined count as left out. */
function defined<T extends object>(given: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
