/**
 * The store of a cluster in one process, with faults on demand: envelopes that get lost on the way to a node,
 * reads that stall or fail, writes that are lost after they were acknowledged, histories that are trimmed or
 * flushed.
 */
import type { Acked, Acks, Start } from '../../src/backplane/acks.ts';
import {
  type Backplane,
  BackplaneError,
  type BackplaneEvents,
  type HistoryPage,
  type NewestPage,
  type Place,
  type PublishRequest,
  type ReadOptions,
  type RoomPosition,
} from '../../src/backplane/backplane.ts';
import type { Denials } from '../../src/backplane/denials.ts';
import { type Envelope, finishConflated, finishEnvelope } from '../../src/backplane/envelope.ts';
import type { HistoryPolicy } from '../../src/backplane/history-policy.ts';
import { MemoryDenials } from '../../src/backplane/memory/memory-denials.ts';
import { KEPT_FRAME_BYTES, NewestMessages } from '../../src/backplane/newest-messages.ts';
import type { OwnEntry, Presence } from '../../src/backplane/presence.ts';
import { PublishQueue } from '../../src/backplane/publish-queue.ts';
import type { RoomBatch } from '../../src/backplane/room-batch.ts';
import type { Scheduler } from '../../src/util/scheduler.ts';

interface StoredRoom {
  epoch: string;
  offset: number;
  envelopes: Envelope[];
}

export class ScriptedStore {
  readonly ports: StorePort[] = [];
  readonly #rooms = new Map<string, StoredRoom>();
  /** What users have acknowledged. */
  readonly acked = new Map<string, Acked>();
  #epochs = 0;
  #denials: MemoryDenials | null = null;
  readonly #newest = new Map<string, NewestMessages>();
  #mark = 0;

  port(nodeId: string, scheduler: Scheduler): StorePort {
    const port = new StorePort(this, nodeId, scheduler);
    this.ports.push(port);
    return port;
  }

  room(name: string): StoredRoom {
    const known = this.#rooms.get(name);
    if (known) return known;
    const room = { epoch: this.#newEpoch(), offset: 0, envelopes: [] };
    this.#rooms.set(name, room);
    return room;
  }

  #newEpoch(): string {
    return `epoch${String(++this.#epochs).padStart(3, '0')}`;
  }

  read(name: string, history: HistoryPolicy, { after = 0, limit }: ReadOptions): HistoryPage {
    if (history.messages === 0) return { epoch: '', offset: 0, envelopes: [] };
    const room = this.room(name);
    this.#keep(room, history.messages);
    const envelopes: Envelope[] = [];
    let count = 0;
    for (const envelope of room.envelopes) {
      if (count >= limit) break;
      if (envelope.last <= after) continue;
      envelopes.push(envelope.copy());
      count += envelope.last - Math.max(after, envelope.first - 1);
    }
    return { epoch: room.epoch, offset: room.offset, envelopes };
  }

  #keepNewest({ room, requests }: RoomBatch): number {
    const newest = this.#newest.get(room) ?? new NewestMessages();
    this.#newest.set(room, newest);
    for (const { conflation, frame } of requests) {
      const mark = ++this.#mark;
      const id = conflation ? Buffer.from(conflation).toString('latin1') : '';
      if (id === '') continue;
      if (frame.length > KEPT_FRAME_BYTES) newest.drop(id);
      else newest.set({ id, mark, frame: Buffer.from(frame), exclude: 0, bornMs: 0 });
    }
    return this.#mark;
  }

  readNewest(name: string): NewestPage {
    const messages = this.#newest.get(name)?.after(0, -1) ?? [];
    return {
      mark: this.#mark,
      messages: messages.map(({ id, mark, frame }) => ({ id, mark, frame, ageMs: 0 })),
    };
  }

  renewEpoch(name: string, epoch: string, seen: number): void {
    const room = this.room(name);
    if (room.epoch === epoch && room.offset < seen) room.epoch = this.#newEpoch();
  }

  commit(batch: RoomBatch, nodeId: string, sentAtMs: number): void {
    const draft = batch.draft(nodeId, sentAtMs);
    if (batch.isSignal) {
      // A room without history is not known here.
      const { epoch = '', offset = 0 } = this.#rooms.get(batch.room) ?? {};
      this.#deliver(batch.room, finishEnvelope(draft, epoch, offset));
      return batch.settle({ epoch: '', first: 0, duplicates: null });
    }
    if (!batch.hasHistory) {
      const mark = batch.keepsNewest ? this.#keepNewest(batch) : 0;
      const envelope = mark > 0 ? finishConflated(draft, mark) : finishEnvelope(draft, '', 0);
      this.#deliver(batch.room, envelope);
      return batch.settle({ epoch: '', first: 0, duplicates: null });
    }
    const room = this.room(batch.room);
    const envelope = finishEnvelope(draft, room.epoch, room.offset + 1);
    room.offset = envelope.last;
    room.envelopes.push(envelope);
    this.#keep(room, batch.history.messages);
    this.#deliver(batch.room, envelope);
    batch.settle({ epoch: room.epoch, first: envelope.first, duplicates: null });
  }

  #deliver(room: string, envelope: Envelope): void {
    for (const port of this.ports) port.arrive(room, envelope.copy());
  }

  #keep(room: StoredRoom, messages: number): void {
    room.envelopes = room.envelopes.filter(({ last }) => last > room.offset - messages);
  }

  clear(name: string): RoomPosition {
    const room = this.room(name);
    room.epoch = this.#newEpoch();
    room.envelopes = [];
    return room;
  }

  /** One list for all nodes. */
  denials(clock: Scheduler): Denials {
    this.#denials ??= new MemoryDenials(clock);
    return this.#denials;
  }

  // ---- faults ----------------------------------------------------------------------------------------------

  /** As a Redis that was restarted without its data. */
  loseDenials(): void {
    this.#denials?.clear();
  }

  /** Keeps only so many of the newest messages. */
  trim(name: string, messages: number): void {
    this.#keep(this.room(name), messages);
  }

  /** The newest messages were acknowledged and are lost, as when a replica that lacks them is promoted. */
  loseNewest(name: string, messages: number): void {
    const room = this.room(name);
    room.offset -= messages;
    room.envelopes = room.envelopes.filter(({ last }) => last <= room.offset);
  }

  /** The same, and the store noticed: the room has a new epoch. */
  failOver(name: string, messages: number): void {
    this.loseNewest(name, messages);
    this.room(name).epoch = this.#newEpoch();
  }

  /** It counts what conflates from the start again: its clock is behind, and what it kept has expired. */
  turnBack(): void {
    this.#newest.clear();
    this.#mark = 0;
  }

  /** Everything is gone. */
  flush(): void {
    this.#rooms.clear();
    this.#newest.clear();
  }
}

/** A piece of work of the store that a test may hold up. */
export class Gate {
  #waiting: { open(): void; fail(error: Error): void }[] = [];
  #isShut = false;
  #failures = 0;

  get waiting(): number {
    return this.#waiting.length;
  }

  /** From now on whoever passes waits. */
  shut(): void {
    this.#isShut = true;
  }

  /** Lets through who waits, and whoever comes. */
  open(): void {
    this.#isShut = false;
    for (const { open } of this.#waiting.splice(0)) open();
  }

  /** Lets through the one that waits at this place. */
  openOne(index = 0): void {
    this.#waiting.splice(index, 1)[0]?.open();
  }

  /** Those who wait fail, and so do the next few. */
  fail(next = 0): void {
    this.#failures = next;
    for (const { fail } of this.#waiting.splice(0)) fail(unavailable());
  }

  async pass(): Promise<void> {
    if (this.#failures > 0) {
      this.#failures--;
      throw unavailable();
    }
    if (this.#isShut) await new Promise<void>((open, fail) => this.#waiting.push({ open, fail }));
  }
}

function unavailable(): BackplaneError {
  return new BackplaneError('unavailable', 'read', 'the store does not answer');
}

/** One node's way to the store. */
export class StorePort implements Backplane {
  readonly readsAtOnce = 64;
  readonly reads = new Gate();
  /** What was read is on its way back. */
  readonly answers = new Gate();
  readonly subscribes = new Gate();
  readonly lookups = new Gate();
  readonly presence: ListPresence = new ListPresence();
  readonly acks: Acks;
  readonly denials: Denials;
  /** Reads with messages, and reads of a position. */
  readonly counts = { pages: 0, positions: 0, lookups: 0, resubscribes: 0, newest: 0 };
  /** So many envelopes, the next ones, never arrive here. */
  losing = 0;
  /** So many publishes, the next ones, are refused. */
  refusing = 0;
  /** Reads of these rooms fail. */
  cannotRead: (room: string) => boolean = () => false;
  /** Envelopes do not arrive here until it subscribes anew. */
  isDeaf = false;
  readonly #store: ScriptedStore;
  readonly #nodeId: string;
  readonly #scheduler: Scheduler;
  readonly #queue = new PublishQueue();
  readonly #subscribed = new Set<string>();
  #late: { room: string; envelope: Envelope }[] | null = null;
  #events: BackplaneEvents | null = null;
  #isScheduled = false;

  constructor(store: ScriptedStore, nodeId: string, scheduler: Scheduler) {
    this.#store = store;
    this.#nodeId = nodeId;
    this.#scheduler = scheduler;
    this.denials = store.denials(scheduler);
    this.acks = {
      ack: async (_room, _history, user, [epoch, offset]) => {
        store.acked.set(user, { epoch, offset });
        return { epoch, offset, outcome: 'kept' };
      },
      get: async (room, _history, user) => {
        this.counts.lookups++;
        await this.lookups.pass();
        const { epoch } = store.room(room);
        const acked = store.acked.get(user);
        return acked?.epoch === epoch ? acked : { epoch, offset: null };
      },
      start: async (room, _history, user): Promise<Start> => {
        this.counts.lookups++;
        await this.lookups.pass();
        const { epoch, offset } = store.room(room);
        const acked = store.acked.get(user);
        if (acked?.epoch === epoch) return { epoch, offset: acked.offset ?? 0, isNew: false };
        store.acked.set(user, { epoch, offset });
        return { epoch, offset, isNew: true };
      },
      list: async () => ({ epoch: '', offset: 0, count: 0, users: [] }),
    };
  }

  async start(events: BackplaneEvents): Promise<void> {
    this.#events = events;
  }

  publish(request: PublishRequest): void {
    if (this.refusing > 0) {
      this.refusing--;
      this.#scheduler.atEndOfTurn(() => request.settled(unavailable(), '', 0, false));
      return;
    }
    this.#queue.push(request, this.#scheduler.nowMs());
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#scheduler.atEndOfTurn(() => {
      this.#isScheduled = false;
      const sentAtMs = this.#scheduler.wallMs();
      for (const batch of this.#queue.takeAll()) this.#store.commit(batch, this.#nodeId, sentAtMs);
    });
  }

  arrive(room: string, envelope: Envelope): void {
    if (!this.#subscribed.has(room) || this.isDeaf) return;
    if (this.losing > 0) this.losing--;
    else if (this.#late !== null) this.#late.push({ room, envelope });
    else this.#events?.envelope(room, envelope);
  }

  /** From now on envelopes are on their way, and arrive with `arriveAll`. */
  delay(): void {
    this.#late ??= [];
  }

  arriveAll(): void {
    const late = this.#late ?? [];
    this.#late = null;
    for (const { room, envelope } of late) this.#events?.envelope(room, envelope);
  }

  /** A link is back: what is of these places may have been missed, or everything. */
  resume(has?: (place: Place) => boolean): void {
    this.#events?.resumed(has);
  }

  async subscribe(room: string): Promise<void> {
    await this.subscribes.pass();
    this.#subscribed.add(room);
  }

  async resubscribe(room: string): Promise<void> {
    this.counts.resubscribes++;
    this.isDeaf = false;
    return this.subscribe(room);
  }

  unsubscribe(room: string): void {
    this.#subscribed.delete(room);
  }

  isSubscribed(room: string): boolean {
    return this.#subscribed.has(room);
  }

  async read(room: string, history: HistoryPolicy, options: ReadOptions): Promise<HistoryPage> {
    if (options.limit === 0) this.counts.positions++;
    else this.counts.pages++;
    if (this.cannotRead(room)) throw unavailable();
    await this.reads.pass();
    const page = this.#store.read(room, history, options);
    await this.answers.pass();
    return page;
  }

  async readNewest(room: string): Promise<NewestPage> {
    this.counts.newest++;
    await this.reads.pass();
    const page = this.#store.readNewest(room);
    await this.answers.pass();
    return page;
  }

  async heard(): Promise<void> {
    this.arriveAll();
  }

  async renewEpoch(room: string, _history: HistoryPolicy, epoch: string, seen: number): Promise<void> {
    this.#store.renewEpoch(room, epoch, seen);
  }

  async clearHistory(room: string): Promise<RoomPosition> {
    return this.#store.clear(room);
  }

  async subscribers(room: string): Promise<number> {
    return [...this.#store.ports].filter((port) => port.isSubscribed(room)).length;
  }

  /** Reaches all nodes but those that are cut off. */
  async signal(text: string): Promise<void> {
    for (const port of this.#store.ports) if (!port.isCutOff) port.hear(text);
  }

  /** What other nodes ask of this one does not arrive. */
  isCutOff = false;

  hear(text: string): void {
    this.#events?.signal(text);
  }

  status(): { ready: boolean; reason: null } {
    return { ready: true, reason: null };
  }

  async close(): Promise<void> {
    // Nothing waits.
  }
}

/** Presence as a list of who entered and left. */
export class ListPresence implements Presence {
  readonly log: string[] = [];

  async start(): Promise<void> {
    // Nobody else is there.
  }

  enter(_room: string, entry: OwnEntry): void {
    this.log.push(`+${entry.user}`);
  }

  leave(_room: string, entry: OwnEntry): void {
    this.log.push(`-${entry.user}`);
  }

  async list(): Promise<Awaited<ReturnType<Presence['list']>>> {
    return { count: 0, users: 0, members: [], next: null };
  }

  view(): Promise<Awaited<ReturnType<Presence['view']>>> {
    return this.list();
  }

  async rooms(): Promise<Awaited<ReturnType<Presence['rooms']>>> {
    return { rooms: [], truncated: false };
  }

  async nodes(): Promise<readonly string[]> {
    return [];
  }

  async close(): Promise<void> {
    // Nothing waits.
  }
}
