/**
 * A third backplane, written outside: it imports the package's own types and nothing of src/. All nodes of one process are joined by a
 * `Store`. It shows what a backplane has to do, and is compiled and run by test/integration/third-backplane.test.ts. It bounds
 * history by count alone, and keeps idempotency keys for good: use MemoryBackplane or Redis for anything real.
 */
import {
  type Acked,
  type AckOutcome,
  type AckPage,
  type AckReceipt,
  type Acks,
  type Backplane,
  BackplaneError,
  type BackplaneEvents,
  type BackplaneStatus,
  type Denial,
  type Denials,
  draftEnvelope,
  type Envelope,
  finishEnvelope,
  type HistoryPage,
  type HistoryPolicy,
  type OwnEntry,
  type Presence,
  type PresenceChange,
  type PresenceEntry,
  type PresenceEvents,
  type PresencePage,
  type PublishRequest,
  packWho,
  type ReadOptions,
  type RoomPosition,
  type RoomsPage,
  type Start,
  unpackWho,
} from 'roomcast/backplane';

class Room {
  epoch = randomEpoch();
  offset = 0;
  envelopes: Envelope[] = [];
  readonly keys = new Map<string, { readonly epoch: string; readonly offset: number }>();
  readonly acked = new Map<string, number>();
  /** The bytes that `packWho` makes of an entry. */
  readonly present = new Map<string, Uint8Array>();
}

/** What all nodes share. */
export class Store {
  readonly nodes = new Set<SharedBackplane>();
  /** When the denial of each subject ends. */
  readonly denied = new Map<string, number>();
  readonly #rooms = new Map<string, Room>();

  room(name: string): Room {
    const room = this.#rooms.get(name) ?? new Room();
    this.#rooms.set(name, room);
    return room;
  }

  presentRooms(): { room: string; count: number }[] {
    const rooms = [...this.#rooms].map(([room, { present }]) => ({ room, count: present.size }));
    return rooms.filter(({ count }) => count > 0).sort((a, b) => (a.room < b.room ? -1 : 1));
  }
}

export class SharedBackplane implements Backplane {
  readonly readsAtOnce = 1;
  readonly presence: Presence = new SharedPresence(this);
  readonly acks: Acks = new SharedAcks(this);
  readonly denials: Denials = new SharedDenials(this);
  readonly nodeId: string;
  readonly store: Store;
  readonly subscribed = new Set<string>();
  events: BackplaneEvents | null = null;
  presenceEvents: PresenceEvents | null = null;
  #isClosed = false;

  constructor(nodeId: string, store: Store) {
    this.nodeId = nodeId;
    this.store = store;
  }

  async start(events: BackplaneEvents): Promise<void> {
    this.events = events;
    this.store.nodes.add(this);
  }

  publish(request: PublishRequest): void {
    setImmediate(() => {
      if (this.#isClosed) request.settled(closed('publish'), '', 0, false);
      else this.#commit(request);
    });
  }

  async subscribe(room: string): Promise<void> {
    this.checkOpen('subscribe');
    this.subscribed.add(room);
  }

  resubscribe(room: string): Promise<void> {
    return this.subscribe(room);
  }

  unsubscribe(room: string): void {
    this.subscribed.delete(room);
  }

  async read(name: string, history: HistoryPolicy, { after = 0, limit }: ReadOptions): Promise<HistoryPage> {
    this.checkOpen('read');
    if (history.messages === 0) return { epoch: '', offset: 0, envelopes: [] };
    const { epoch, offset, envelopes } = this.store.room(name);
    // Here an envelope is one message, so that none has to be cut or rounded up.
    return { epoch, offset, envelopes: envelopes.filter(({ last }) => last > after).slice(0, limit) };
  }

  async renewEpoch(name: string, _history: HistoryPolicy, epoch: string, seen: number): Promise<void> {
    this.checkOpen('read');
    const room = this.store.room(name);
    if (room.epoch === epoch && room.offset < seen) room.epoch = randomEpoch();
  }

  async clearHistory(name: string, history: HistoryPolicy): Promise<RoomPosition> {
    this.checkOpen('clear');
    if (history.messages === 0) return { epoch: '', offset: 0 };
    const room = this.store.room(name);
    room.epoch = randomEpoch();
    room.envelopes = [];
    return room;
  }

  async subscribers(room: string): Promise<number> {
    this.checkOpen('subscribe');
    return [...this.store.nodes].filter(({ subscribed }) => subscribed.has(room)).length;
  }

  async signal(text: string): Promise<void> {
    this.checkOpen('signal');
    setImmediate(() => {
      for (const node of this.store.nodes) node.events?.signal(text);
    });
  }

  status(): BackplaneStatus {
    if (this.#isClosed) return { ready: false, reason: 'the shared backplane is closed' };
    return { ready: this.events !== null, reason: this.events === null ? 'it is not started' : null };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.store.nodes.delete(this);
  }

  checkOpen(stage: string): void {
    if (this.#isClosed) throw closed(stage);
  }

  #commit(request: PublishRequest): void {
    const { history, key } = request;
    const room = this.store.room(request.room);
    const before = key === null ? undefined : room.keys.get(key);
    if (before !== undefined) return request.settled(null, before.epoch, before.offset, true);
    const draft = draftEnvelope([request], this.nodeId, Date.now());
    const isKept = history.messages > 0;
    const place = isKept ? { epoch: room.epoch, offset: ++room.offset } : { epoch: '', offset: 0 };
    const envelope = finishEnvelope(draft, place.epoch, place.offset);
    if (isKept) room.envelopes = [...room.envelopes, envelope].slice(-history.messages);
    if (key !== null) room.keys.set(key, place);
    for (const node of this.store.nodes) {
      // Of its own: a node may hold it for as long as it likes.
      if (node.subscribed.has(request.room)) node.events?.envelope(request.room, envelope.copy());
    }
    request.settled(null, place.epoch, place.offset, false);
  }
}

class SharedPresence implements Presence {
  readonly #node: SharedBackplane;

  constructor(node: SharedBackplane) {
    this.#node = node;
  }

  async start(events: PresenceEvents): Promise<void> {
    this.#node.presenceEvents = events;
  }

  enter(room: string, entry: OwnEntry, announce: boolean): void {
    const { connection } = entry;
    const { present } = this.#node.store.room(room);
    const before = present.get(connection);
    const bytes = packWho(entry);
    present.set(connection, bytes);
    if (!announce || (before && Buffer.compare(before, bytes) === 0)) return;
    const change = before ? 'changed' : 'joined';
    this.#announce(room, { change, who: unpackWho(connection, bytes)!, count: present.size });
  }

  leave(room: string, { connection }: OwnEntry, announce: boolean): void {
    const { present } = this.#node.store.room(room);
    const before = present.get(connection);
    present.delete(connection);
    if (!before || !announce) return;
    this.#announce(room, { change: 'left', who: unpackWho(connection, before)!, count: present.size });
  }

  async list(room: string, limit: number, after: string | null = null): Promise<PresencePage> {
    this.#node.checkOpen('presence');
    const all = this.#entries(room);
    const users = new Set(all.flatMap(({ user }) => user ?? [])).size;
    const rest = after === null ? all : all.filter(({ connection }) => connection > after);
    const members = rest.slice(0, limit);
    const next = rest.length > limit ? (members.at(-1)?.connection ?? after ?? '') : null;
    return { count: all.length, users, members, next };
  }

  async view(room: string, limit: number): Promise<PresencePage> {
    const page = await this.list(room, limit);
    // `#announce` tells of a change in the next turn.
    await new Promise((resolve) => setImmediate(resolve));
    return page;
  }

  #entries(room: string): PresenceEntry[] {
    const all = [...this.#node.store.room(room).present];
    const entries = all.map(([connection, bytes]) => unpackWho(connection, bytes)!);
    return entries.sort((a, b) => (a.connection < b.connection ? -1 : 1));
  }

  async rooms(limit: number): Promise<RoomsPage> {
    this.#node.checkOpen('presence');
    const rooms = this.#node.store.presentRooms();
    return { rooms: rooms.slice(0, limit), truncated: rooms.length > limit };
  }

  async nodes(): Promise<readonly string[]> {
    return [...this.#node.store.nodes].map(({ nodeId }) => nodeId);
  }

  async close(): Promise<void> {
    this.#node.presenceEvents = null;
  }

  #announce(room: string, change: PresenceChange): void {
    setImmediate(() => {
      for (const node of this.#node.store.nodes) {
        if (node.subscribed.has(room)) node.presenceEvents?.changed(room, [change]);
      }
    });
  }
}

class SharedAcks implements Acks {
  readonly #node: SharedBackplane;

  constructor(node: SharedBackplane) {
    this.#node = node;
  }

  async ack(
    name: string,
    _history: HistoryPolicy,
    user: string,
    [epoch, offset]: readonly [string, number],
  ): Promise<AckReceipt> {
    const room = this.#room(name);
    const kept = room.acked.get(user) ?? null;
    const outcome = outcomeOf(room, kept ?? 0, epoch, offset);
    if (outcome === 'kept') room.acked.set(user, offset);
    return { epoch: room.epoch, offset: outcome === 'kept' ? offset : kept, outcome };
  }

  async get(name: string, _history: HistoryPolicy, user: string): Promise<Acked> {
    const { epoch, acked } = this.#room(name);
    return { epoch, offset: acked.get(user) ?? null };
  }

  async start(name: string, _history: HistoryPolicy, user: string): Promise<Start> {
    const { epoch, offset, acked } = this.#room(name);
    const kept = acked.get(user);
    if (kept === undefined) acked.set(user, offset);
    return { epoch, offset: kept ?? offset, isNew: kept === undefined };
  }

  async list(name: string, _history: HistoryPolicy, from: number | null, limit: number): Promise<AckPage> {
    const { epoch, offset, acked } = this.#room(name);
    const least = from ?? offset;
    const users = [...acked].filter(([, own]) => own >= least).sort(([, a], [, b]) => b - a);
    const listed = users.slice(0, limit).map(([user, own]) => ({ user, offset: own }));
    return { epoch, offset, count: users.length, users: listed };
  }

  #room(name: string): Room {
    this.#node.checkOpen('acks');
    return this.#node.store.room(name);
  }
}

class SharedDenials implements Denials {
  readonly #node: SharedBackplane;

  constructor(node: SharedBackplane) {
    this.#node = node;
  }

  async deny(subject: string, forMs: number): Promise<number> {
    this.#node.checkOpen('denials');
    this.#node.store.denied.set(subject, Date.now() + forMs);
    return 0;
  }

  async lift(subject: string): Promise<number> {
    this.#node.checkOpen('denials');
    this.#node.store.denied.delete(subject);
    return 0;
  }

  async read(): Promise<readonly Denial[]> {
    this.#node.checkOpen('denials');
    const all = [...this.#node.store.denied].map(([subject, end]) => {
      return { subject, leftMs: end - Date.now(), isLifted: false, changedAtMs: 0 };
    });
    return all.filter(({ leftMs }) => leftMs > 0);
  }

  /** Nothing is ever lost here, so what a node misses was lifted. */
  async restore(_denials: readonly Denial[]): Promise<void> {
    this.#node.checkOpen('denials');
  }
}

function outcomeOf(room: Room, kept: number, epoch: string, offset: number): AckOutcome {
  if (epoch !== room.epoch) return 'other_epoch';
  if (offset > room.offset) return 'beyond';
  return offset > kept ? 'kept' : 'not_higher';
}

function closed(stage: string): BackplaneError {
  return new BackplaneError('unavailable', stage, 'the shared backplane is closed');
}

/** Exactly eight ASCII characters. */
function randomEpoch(): string {
  return Math.random().toString(36).slice(2, 10).padEnd(8, '0');
}
