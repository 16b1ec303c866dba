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
import type { ClientStorage, KeptState, StorageParts } from './options.ts';
import { type StoredPublish, toPublish, toStored } from './stored-publish.ts';

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

/** Keeps the state in a store of your own. Faults of the store are told to `onError`; the client goes on without it. */
export function keepIn(store: StateStore): ClientStorage {
  return (parts) => new Keeper(store, parts);
}

/**
 * Keeps the state in `localStorage`, or in `sessionStorage`, which each tab has for itself. `key`: one for each client. Tabs that
 * share a key overwrite each other, so prefer `sessionStorage` where users open several.
 */
export function webStorage(key: string, storage: Storage = localStorage): ClientStorage {
  return keepIn({
    load: () => JSON.parse(storage.getItem(key) ?? 'null') as StoredState | null,
    save: (state) => storage.setItem(key, JSON.stringify(state)),
  });
}

class Keeper implements KeptState {
  readonly loaded: Promise<void>;
  readonly #store: StateStore;
  readonly #parts: StorageParts;
  #positions: Readonly<Record<string, Position>> = {};
  #timer: Timer | null = null;
  #isLoaded = false;
  #isSaving = false;
  /** Nothing has changed since the last save began. */
  #isSaved = true;
  readonly #hidden = () => this.#isLoaded && this.#save();

  constructor(store: StateStore, parts: StorageParts) {
    this.#store = store;
    this.#parts = parts;
    this.loaded = this.#load();
    // A page that goes away has no time for the timer.
    globalThis.addEventListener?.('pagehide', this.#hidden);
  }

  positionOf(room: string): Position | undefined {
    return Object.hasOwn(this.#positions, room) ? this.#positions[room] : undefined;
  }

  changed(): void {
    this.#isSaved = false;
    if (!this.#isLoaded || this.#timer !== null || this.#isSaving) return;
    this.#timer = this.#parts.environment.scheduler.after(SAVE_AFTER_MS, () => this.#save());
  }

  close(): void {
    globalThis.removeEventListener?.('pagehide', this.#hidden);
    if (this.#isLoaded) this.#save();
    this.#isLoaded = false;
  }

  async #load(): Promise<void> {
    const { codec, queue, onError } = this.#parts;
    try {
      const state = await this.#store.load();
      this.#positions = state?.positions ?? {};
      const waiting = (state?.queue ?? []).flatMap((stored) => toPublish(stored, codec) ?? []);
      // Nobody waits for them any more: what fails is told to `onError`.
      queue.restore(waiting, { resolve: () => undefined, reject: onError });
    } catch (error) {
      onError(error);
    }
    this.#isLoaded = true;
  }

  #save(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#isSaved = true;
    const { codec, queue, positions, onError } = this.#parts;
    const known: Record<string, Position> = { ...this.#positions };
    for (const [room, position] of positions()) if (position !== null) known[room] = position;
    this.#positions = known;
    const state = { queue: queue.waiting.map((publish) => toStored(publish, codec)), positions: known };
    try {
      const saved = this.#store.save(state);
      if (saved instanceof Promise) void this.#whileSaving(saved);
    } catch (error) {
      onError(error);
    }
  }

  async #whileSaving(saved: Promise<void>): Promise<void> {
    this.#isSaving = true;
    await saved.catch(this.#parts.onError);
    this.#isSaving = false;
    if (!this.#isSaved) this.changed();
  }
}
