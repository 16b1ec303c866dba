import type { Connection } from '../connection/connection.ts';
import { CLOSE } from '../protocol/codes.ts';
import { systemScheduler, type Timer } from '../util/scheduler.ts';

/** Connections that have not presented their token yet. Each is closed if it takes too long. */
export class PendingAuth {
  readonly #timeoutMs: number;
  readonly #timers = new Map<Connection, Timer>();

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  get count(): number {
    return this.#timers.size;
  }

  add(connection: Connection): void {
    const timer = systemScheduler.after(this.#timeoutMs, () => this.#late(connection));
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
