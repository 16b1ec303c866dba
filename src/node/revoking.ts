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

/**
 * All tokens that are revoked within this time cost one look at every connection, which takes milliseconds on a full node: there is
 * no list of connections by token, since each connection would pay for it.
 */
const LOOK_MS = 50;

/** Closes the connections of users and tokens that are revoked. Nobody gets a new one: see `TokenGate`. */
export class Revoking {
  readonly #parts: RevokingParts;
  #isLooking = false;

  constructor(parts: RevokingParts) {
    this.#parts = parts;
  }

  /** For a user or a token that `denied` has just come to know. */
  end({ kind, id }: Revoked): void {
    if (kind === 'user') return this.#close(this.#parts.hub.connectionsOf(id));
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#parts.scheduler.after(LOOK_MS, () => {
      this.#isLooking = false;
      this.#close(this.#parts.hub.connections());
    });
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
