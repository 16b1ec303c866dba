/**
 * Lines on their way to standard output. Bounded: a reader that is too slow makes it `full`, and whoever feeds it pauses until it is
 * `low` again.
 */

export interface Item<T> {
  readonly text: string;
  /** Handed back when the text has left this process. */
  readonly tag: T;
}

export interface BacklogEvents<T> {
  full(): void;
  low(): void;
  /** These have left, in order. */
  flushed(tags: readonly T[]): void;
  /** Nobody reads any more. Nothing follows. */
  closed(): void;
}

export interface BacklogLimits {
  /** Characters and items, weighed together. */
  readonly most: number;
  readonly low: number;
}

const LIMITS: BacklogLimits = { most: 4 * 1024 * 1024, low: 512 * 1024 };
/** Of one write. */
const CHUNK = 64 * 1024;
/** What an item costs beside its text. */
const ITEM = 200;

export class Backlog<T> {
  readonly #write: (text: string) => Promise<boolean>;
  readonly #events: BacklogEvents<T>;
  readonly #limits: BacklogLimits;
  #items: Item<T>[] = [];
  #weight = 0;
  #isFull = false;
  #isClosed = false;
  #pumping: Promise<void> | null = null;

  constructor(
    write: (text: string) => Promise<boolean>,
    events: BacklogEvents<T>,
    limits: BacklogLimits = LIMITS,
  ) {
    this.#write = write;
    this.#events = events;
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#pumping === null;
  }

  add(text: string, tag: T): void {
    if (this.#isClosed) return;
    this.#items.push({ text, tag });
    this.#weight += text.length + ITEM;
    if (!this.#isFull && this.#weight > this.#limits.most) {
      this.#isFull = true;
      this.#events.full();
    }
    this.#pumping ??= this.#pump();
  }

  /** Resolves when nothing waits, or nobody reads. */
  async drained(): Promise<void> {
    while (this.#pumping !== null) await this.#pumping;
  }

  async #pump(): Promise<void> {
    // What arrives in one WebSocket message leaves together.
    await null;
    while (this.#items.length > 0 && !this.#isClosed) await this.#writeChunk();
    this.#pumping = null;
  }

  async #writeChunk(): Promise<void> {
    const chunk = this.#take();
    const text = chunk.map((item) => item.text).join('');
    const isWritten = text === '' || (await this.#write(text));
    if (!isWritten) {
      this.#isClosed = true;
      this.#items = [];
      return this.#events.closed();
    }
    for (const item of chunk) this.#weight -= item.text.length + ITEM;
    this.#events.flushed(chunk.map(({ tag }) => tag));
    if (this.#isFull && this.#weight <= this.#limits.low) {
      this.#isFull = false;
      this.#events.low();
    }
  }

  #take(): Item<T>[] {
    let [count, length] = [0, 0];
    while (count < this.#items.length && length < CHUNK) length += this.#items[count++]!.text.length;
    return this.#items.splice(0, count);
  }
}
