import { CLOSE } from '../protocol/codes.ts';
import type { Scheduler, Timer } from '../util/scheduler.ts';
import type { Connection } from './connection.ts';

/** Connections that have not presented their token yet. Each is closed if it takes too long. */
export class PendingAuth {
  readonly #timeoutMs: number;
  readonly #scheduler: Scheduler;
  readonly #timers = new Map<Connection, Timer>();

  constructor(timeoutMs: number, scheduler: Scheduler) {
    this.#timeoutMs = timeoutMs;
    this.#scheduler = scheduler;
  }

  get count(): number {
    return this.#timers.size;
  }

  add(connection: Connection): void {
    const timer = this.#scheduler.after(this.#timeoutMs, () => this.#late(connection));
    this.#timers.set(connection, timer);
  }

  /** The connection has authenticated, or closed. Harmless for any other connection. */
  remove(connection: Connection): void {
    const timer = this.#timers.get(connection);
    if (timer === undefined) return;
    timer.cancel();
    this.#timers.delete(connection);
  }

  #late(connection: Connection): void {
    this.#timers.delete(connection);
    // A token that is being checked was presented in time; its outcome decides, however long that takes.
    if (!connection.isOpen || !connection.awaitsAuth || connection.isPaused) return;
    connection.fail(0, 'unauthorized', 'no token arrived in time');
    connection.close(CLOSE.unauthorized);
  }
}
