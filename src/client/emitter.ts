/** Listeners by event. One that throws, or whose promise rejects, is reported, and the others still run. */

type Listener = (event: never) => void;

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<Listener>>();
  readonly #onError: (error: unknown) => void;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Returns the function that removes it. A function that is added twice runs twice; each end removes one. */
  on<K extends keyof Events>(name: K, listener: (event: Events[K]) => void): () => void {
    const entry: Listener = guarded(listener, this.#onError);
    const known = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, known.add(entry));
    return () => {
      known.delete(entry);
    };
  }

  /** Returns whether anyone listens. */
  emit<K extends keyof Events>(name: K, event: Events[K]): boolean {
    const known = this.#listeners.get(name);
    if (!known?.size) return false;
    // A copy: a listener may add and remove others.
    for (const listener of [...known]) if (known.has(listener)) listener(event as never);
    return true;
  }

  clear(): void {
    for (const known of this.#listeners.values()) known.clear();
  }
}

/** `listener` as a function that never throws. A promise that it returns is waited for only to report why it rejects. */
export function guarded<E>(
  listener: (event: E) => unknown,
  onError: (error: unknown) => void,
): (event: E) => void {
  return (event) => {
    try {
      const done = listener(event) as Partial<PromiseLike<unknown>> | undefined;
      done?.then?.(undefined, onError);
    } catch (error) {
      onError(error);
    }
  };
}
