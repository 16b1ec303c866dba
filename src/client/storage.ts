/**
 * `roomcast-client/storage`: what waits to be published, and where each room stands, survive a reload.
 *
 * ```ts
 * import { webStorage } from 'roomcast-client/storage';
 *
 * const client = new RoomcastClient(url, { storage: webStorage('chat', sessionStorage) });
 * ```
 */
import type { Position } from '../protocol/frames.ts';
import type { Timer } from '../util/scheduler.ts';
import { RoomcastError } from './errors.ts';
import type { ClientStorage, KeptState, StorageParts } from './options.ts';
import { momentOf, newEntry } from './queue-entry.ts';
import { type StoredPublish, toPublish, toStored, type WaitingPublish } from './stored-publish.ts';

export type { ClientStorage } from './options.ts';
export type { StoredPublish } from './stored-publish.ts';

/** All of it is JSON. */
export interface StoredState {
  readonly queue: readonly StoredPublish[];
  readonly positions: Readonly<Record<string, Position>>;
}

/** Where the state is kept: a database in the page, a file, a key-value store. */
export interface StateStore {
  /** Null or undefined: nothing is kept yet. The client connects when this has settled. */
  load(): StoredState | null | undefined | Promise<StoredState | null | undefined>;
  /** Replaces what is kept. Called at most every 100 ms, and not again before it has settled. */
  save(state: StoredState): void | Promise<void>;
}

const SAVE_AFTER_MS = 100;
/** A store that takes longer is left alone: the client must not wait for ever. */
const LOAD_WITHIN_MS = 5_000;
/** Rooms whose positions are kept. Beyond that the ones that moved longest ago are forgotten. */
const MAX_POSITIONS = 1_000;

/** Keeps the state in a store of your own. Faults of the store are told to `onError`; the client goes on without it. */
export function keepIn(store: StateStore): ClientStorage {
  return (parts) => new Keeper(store, parts);
}

/**
 * Keeps the state in `localStorage`, or in `sessionStorage`, which each tab has for itself. `key`: one for each client. Tabs that
 * share a key overwrite each other, so prefer `sessionStorage` where users open several.
 */
export function webStorage(key: string, storage?: Storage): ClientStorage {
  // Looked for late: pages that may not have one throw here.
  const place = () => storage ?? localStorage;
  return keepIn({
    load: () => JSON.parse(place().getItem(key) ?? 'null') as StoredState | null,
    save: (state) => place().setItem(key, JSON.stringify(state)),
  });
}

class Keeper implements KeptState {
  readonly loaded: Promise<void>;
  readonly #store: StateStore;
  readonly #parts: StorageParts;
  readonly #positions = new Map<string, Position>();
  #timer: Timer | null = null;
  #state: 'loading' | 'open' | 'closed' = 'loading';
  #isSaving = false;
  /** Nothing has changed since the last save began. */
  #isSaved = true;
  /** The last save failed, and that was told. */
  #isFailing = false;
  readonly #hidden = () => this.#save();

  constructor(store: StateStore, parts: StorageParts) {
    this.#store = store;
    this.#parts = parts;
    this.loaded = this.#load();
    // A page that goes away has no time for the timer.
    globalThis.addEventListener?.('pagehide', this.#hidden);
  }

  positionOf(room: string): Position | undefined {
    return this.#positions.get(room);
  }

  changed(): void {
    this.#isSaved = false;
    if (this.#state !== 'open' || this.#timer !== null || this.#isSaving) return;
    this.#timer = this.#parts.environment.scheduler.after(SAVE_AFTER_MS, () => this.#save());
  }

  left(room: string, position: Position | null): void {
    this.#note(room, position);
    this.changed();
  }

  close(): void {
    globalThis.removeEventListener?.('pagehide', this.#hidden);
    this.#timer?.cancel();
    this.#notePositions();
    this.#isSaved = false;
    this.#save();
    this.#state = 'closed';
  }

  async #load(): Promise<void> {
    const { onError, queue } = this.#parts;
    try {
      const state = await this.#inTime(this.#store.load());
      const positions = Object.entries(state?.positions ?? {});
      for (const [room, position] of positions) if (isPosition(position)) this.#note(room, position);
      queue.restore((state?.queue ?? []).flatMap((stored) => this.#restored(stored)));
      this.#open();
    } catch (error) {
      onError(error);
      // What is damaged is written anew; what did not come in time may be whole.
      if (!(error instanceof StoreSilentError)) this.#open();
    }
  }

  #open(): void {
    if (this.#state === 'loading') this.#state = 'open';
    if (!this.#isSaved) this.changed();
  }

  #inTime<T>(loading: T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const tooLate = () => reject(new StoreSilentError('the store did not load in time: nothing is kept'));
      this.#timer = this.#parts.environment.scheduler.after(LOAD_WITHIN_MS, tooLate);
      Promise.resolve(loading).then(resolve, reject);
    }).finally(() => {
      this.#timer?.cancel();
      this.#timer = null;
    }) as Promise<T>;
  }

  /** Each for itself: one that is damaged does not take the others along. */
  #restored(stored: StoredPublish) {
    const { codec, onError } = this.#parts;
    try {
      const publish = toPublish(stored, codec);
      return publish === null ? [] : [this.#entry(publish)];
    } catch (error) {
      onError(error);
      return [];
    }
  }

  #entry(publish: WaitingPublish) {
    const { codec, environment, onError } = this.#parts;
    const { doubtfulSinceMs, ...made } = publish;
    // Nobody waits for it any more: what fails is told to `onError`.
    const outcome = { resolve: () => undefined, reject: onError };
    const entry = newEntry(made, codec.sizeOf(made.data), outcome);
    if (doubtfulSinceMs !== null) {
      const { nowMs, wallMs } = momentOf(environment);
      entry.doubtfulSince = { nowMs: nowMs - (wallMs - doubtfulSinceMs), wallMs: doubtfulSinceMs };
    }
    return entry;
  }

  #save(): void {
    // One at a time: the next one begins when this one is done.
    if (this.#state === 'open' && !this.#isSaving) void this.#write();
  }

  async #write(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    this.#isSaving = this.#isSaved = true;
    try {
      const saving = this.#store.save(this.#now());
      // A store that is done at once is not waited for: the page may be going away.
      if (saving !== undefined) await saving;
      this.#isFailing = false;
    } catch (error) {
      // Once: a store that is full fails with every change.
      if (!this.#isFailing) this.#parts.onError(error);
      this.#isFailing = true;
    }
    this.#isSaving = false;
    if (this.#isSaved) return;
    // The last state of a client that was closed meanwhile does not wait.
    if (this.#state === 'closed') void this.#write();
    else this.changed();
  }

  #now(): StoredState {
    const { codec, queue } = this.#parts;
    this.#notePositions();
    return {
      queue: queue.entries.map((entry) => toStored(entry, codec)),
      positions: Object.fromEntries(this.#positions),
    };
  }

  #notePositions(): void {
    for (const [room, position] of this.#parts.positions()) this.#note(room, position);
  }

  #note(room: string, position: Position | null): void {
    const known = this.#positions.get(room);
    if (position === null || (known?.[0] === position[0] && known[1] === position[1])) return;
    this.#positions.delete(room);
    this.#positions.set(room, position);
    if (this.#positions.size <= MAX_POSITIONS) return;
    for (const oldest of this.#positions.keys()) {
      this.#positions.delete(oldest);
      return;
    }
  }
}

/** What came may be of any shape: pages keep what an older version, or somebody else, wrote. */
function isPosition(value: unknown): value is Position {
  return Array.isArray(value) && typeof value[0] === 'string' && Number.isSafeInteger(value[1]);
}

class StoreSilentError extends RoomcastError {}
