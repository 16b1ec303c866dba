import { REVOKED } from '../auth/token-gate.ts';
import type { Connection } from '../connection/connection.ts';
import type { Hub } from '../hub/hub.ts';
import { CLOSE } from '../protocol/codes.ts';
import type { Logger } from '../util/log.ts';
import type { Scheduler } from '../util/scheduler.ts';
import type { Denied } from './denied.ts';
import type { Revoked } from './revoked.ts';

export interface RevokingParts {
  readonly hub: Hub<Connection>;
  readonly denied: Pick<Denied, 'isRevoked'>;
  readonly scheduler: Scheduler;
  readonly log: Logger;
}

/** Looking at every connection takes milliseconds on a full node: no more than one in so many is spent on it. */
const REST = 10;

/**
 * Closes the connections of users and tokens that are revoked. Nobody gets a new one: see `TokenGate`. For tokens it looks at every
 * connection, once for all that are revoked meanwhile: a list by token would cost each connection memory.
 */
export class Revoking {
  readonly #parts: RevokingParts;
  #isDue = false;
  /** Not to look again before. */
  #restUntilMs = 0;

  constructor(parts: RevokingParts) {
    this.#parts = parts;
  }

  /** For a user or a token that `denied` has just come to know. */
  end({ kind, id }: Revoked): void {
    if (kind === 'user') return this.#close(this.#parts.hub.connectionsOf(id));
    if (this.#isDue) return;
    this.#isDue = true;
    const { scheduler } = this.#parts;
    const waitMs = this.#restUntilMs - scheduler.nowMs();
    if (waitMs > 0) scheduler.after(waitMs, () => this.#look());
    else scheduler.atEndOfTurn(() => this.#look());
  }

  #look(): void {
    const { hub, scheduler } = this.#parts;
    this.#isDue = false;
    const startMs = scheduler.nowMs();
    this.#close(hub.connections());
    const endMs = scheduler.nowMs();
    this.#restUntilMs = endMs + REST * (endMs - startMs);
  }

  #close(candidates: Iterable<Connection>): void {
    const { denied, log } = this.#parts;
    const revoked = [...candidates].filter(({ identity }) => identity !== null && denied.isRevoked(identity));
    for (const connection of revoked) {
      connection.fail(0, 'token_revoked', REVOKED);
      connection.close(CLOSE.revoked);
    }
    if (revoked.length > 0) log.info({ connections: revoked.length }, 'closed connections that were revoked');
  }
}
