/** Requests that only ask, or may be repeated: they wait for a connection, and are sent again when it is lost before the answer. */
import type { CommandFrame } from '../protocol/frames.ts';
import { type ClosedError, DisconnectedError } from './errors.ts';
import type { Session } from './session.ts';

interface Waiter {
  resolve(session: Session): void;
  reject(error: unknown): void;
}

export class Requests {
  readonly #session: () => Session | null;
  readonly #waiters = new Set<Waiter>();
  #closed: ClosedError | null = null;

  /** `session`: the connection, where it may be used. */
  constructor(session: () => Session | null) {
    this.#session = session;
  }

  /** Rejects with `RefusedError`, `ClosedError`, or the reason of `abort`. */
  async send<R>(build: (id: number) => CommandFrame, abort?: AbortSignal): Promise<R> {
    for (;;) {
      const session = await this.#ready(abort);
      try {
        return await orAborted(session.request<R>(build), abort);
      } catch (error) {
        if (!(error instanceof DisconnectedError)) throw error;
      }
    }
  }

  connected(session: Session): void {
    for (const { resolve } of this.#waiters) resolve(session);
    this.#waiters.clear();
  }

  close(error: ClosedError): void {
    this.#closed = error;
    for (const { reject } of this.#waiters) reject(error);
    this.#waiters.clear();
  }

  async #ready(abort: AbortSignal | undefined): Promise<Session> {
    if (this.#closed !== null) throw this.#closed;
    const session = this.#session();
    if (session !== null) return session;
    let waiter!: Waiter;
    const waiting = new Promise<Session>((resolve, reject) => {
      waiter = { resolve, reject };
    });
    this.#waiters.add(waiter);
    return orAborted(waiting, abort).finally(() => this.#waiters.delete(waiter));
  }
}

/** Leaves no listener on `abort`. */
function orAborted<R>(work: Promise<R>, abort: AbortSignal | undefined): Promise<R> {
  if (abort === undefined) return work;
  return new Promise((resolve, reject) => {
    const aborted = () => reject(abort.reason);
    if (abort.aborted) return aborted();
    abort.addEventListener('abort', aborted);
    work.finally(() => abort.removeEventListener('abort', aborted)).then(resolve, reject);
  });
}
