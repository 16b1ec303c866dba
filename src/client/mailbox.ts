/** A bounded queue behind a `for await` loop. */
import { RoomcastError, TooSlowError } from './errors.ts';

interface Waiting<T> {
  resolve(result: IteratorResult<T>): void;
  reject(error: Error): void;
}

export class Mailbox<T> implements AsyncIterableIterator<T> {
  readonly #limit: number;
  readonly #ended: () => void;
  #items: T[] = [];
  #waiting: Waiting<T> | null = null;
  #error: Error | null = null;
  #isOver = false;

  /** `ended` is called once, when the loop ends or is ended. */
  constructor(limit: number, ended: () => void) {
    this.#limit = limit;
    this.#ended = ended;
  }

  put(value: T): void {
    if (this.#isOver) return;
    if (this.#waiting !== null) {
      this.#waiting.resolve({ done: false, value });
      this.#waiting = null;
    } else if (this.#items.length < this.#limit) this.#items.push(value);
    else
      this.end(new TooSlowError(`this loop is ${this.#limit} messages behind: read faster, or raise buffer`));
  }

  /** The loop ends when it has taken what is here. `error`: what it throws then. */
  end(error: Error | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting !== null) this.next().then(waiting.resolve, waiting.reject);
    this.#ended();
  }

  async next(): Promise<IteratorResult<T>> {
    if (this.#items.length > 0) return { done: false, value: this.#items.shift()! };
    if (this.#isOver) {
      const error = this.#error;
      this.#error = null;
      if (error !== null) throw error;
      return { done: true, value: undefined };
    }
    if (this.#waiting !== null) throw new RoomcastError('next() is still pending');
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  /** What the end of a `for await` loop calls. */
  async return(): Promise<IteratorResult<T>> {
    this.#items = [];
    this.end(null);
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
