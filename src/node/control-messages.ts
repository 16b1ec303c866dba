import type { Backplane } from '../backplane/backplane.ts';
import type { Connection } from '../connection/connection.ts';
import type { Hub } from '../hub/hub.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { CLOSE } from '../protocol/codes.ts';
import type { Logger } from '../util/log.ts';
import { type ControlMessage, parseControlMessage } from './control-message.ts';
import { memberSubject } from './denial-table.ts';
import type { Denied } from './denied.ts';
import type { Memberships } from './membership/memberships.ts';
import { type Revoked, revokedSubject } from './revoked.ts';
import type { Revoking } from './revoking.ts';
import type { Feeds } from './rooms/feeds.ts';

export interface ControlMessagesParts {
  readonly backplane: Pick<Backplane, 'signal'>;
  readonly hub: Hub<Connection>;
  readonly feeds: Feeds;
  readonly memberships: Pick<Memberships, 'place' | 'remove'>;
  readonly denied: Denied;
  readonly revoking: Revoking;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

type Revocation = Extract<ControlMessage, { type: 'revoke' | 'sign_out' }>;

/** What members are told by a node that was cut off when they were removed. */
const REMOVED = 'removed by the server';

/** Sends requests to all nodes, and carries out those that arrive. */
export class ControlMessages {
  readonly #parts: ControlMessagesParts;

  constructor(parts: ControlMessagesParts) {
    this.#parts = parts;
  }

  /** Resolves when the request is sent to all nodes. Rejects with `BackplaneError`. */
  send(message: ControlMessage): Promise<void> {
    return this.#parts.backplane.signal(JSON.stringify(message));
  }

  /** The store has got back what it had lost of who is denied what. */
  tellRestored(): void {
    this.send({ type: 'restored' }).catch((error: unknown) => {
      // They make new copies by themselves, later.
      this.#parts.log.debug({ error }, 'cannot tell other nodes that denials were restored');
    });
  }

  /** A request arrived. An unreadable one is counted and ignored. */
  arrived(text: string): void {
    const message = parseControlMessage(text);
    if (message === null) this.#parts.metrics.backplane.malformedEnvelope();
    else this.#carryOut(message);
  }

  /** Ends the memberships of a user of whom this node learned late that it is kept out. */
  removeLate(room: string, user: string): void {
    this.#remove(room, user, REMOVED);
  }

  #carryOut(message: ControlMessage): void {
    switch (message.type) {
      case 'disconnect':
        return this.#disconnect(message.user);
      case 'remove':
        return this.#removeAndDeny(message);
      case 'add':
        return this.#add(message);
      case 'revoke':
        return this.#revoke(message, message);
      case 'sign_out': {
        const { user: id, issuedBeforeMs } = message;
        return this.#revoke({ kind: 'user', id, issuedBeforeMs }, message);
      }
      case 'restored':
        return this.#parts.denied.readAgain();
      case 'cleared':
        return this.#cleared(message.room);
    }
  }

  #disconnect(user: string): void {
    const { log } = this.#parts;
    const connections = this.#connectionsOf(user);
    for (const connection of connections) connection.close(CLOSE.disconnected);
    if (connections.length > 0) {
      log.info({ connections: connections.length }, 'the server API closed connections of a user');
    }
  }

  /** First kept out, so that a message that waited for a join is not published either. */
  #removeAndDeny({
    room,
    user,
    reason,
    forMs,
    changedAtMs,
  }: Extract<ControlMessage, { type: 'remove' }>): void {
    const subject = memberSubject(room, user);
    if (forMs === 0) this.#parts.denied.lift(subject, changedAtMs);
    else if (forMs !== null) this.#parts.denied.deny(subject, forMs, changedAtMs);
    this.#remove(room, user, reason === '' ? REMOVED : reason);
  }

  #remove(room: string, user: string, reason: string): void {
    const retryAfterMs = this.#parts.denied.leftMs(user, room);
    const refusal = {
      code: 'forbidden',
      message: reason,
      ...(retryAfterMs > 0 && { retryAfterMs }),
    } as const;
    for (const connection of this.#connectionsOf(user)) {
      if (connection.rooms.includes(room)) this.#parts.memberships.remove(connection, room, refusal);
    }
  }

  /** First denied, so that nobody comes back while connections are being closed. */
  #revoke({ kind, id, issuedBeforeMs }: Revoked, { forMs, changedAtMs }: Revocation): void {
    const { denied, revoking } = this.#parts;
    const revoked = { kind, id, ...(issuedBeforeMs !== undefined && { issuedBeforeMs }) };
    if (forMs === 0) return denied.endRevocations(revoked, changedAtMs);
    denied.deny(revokedSubject(revoked), forMs, changedAtMs);
    revoking.end(revoked);
  }

  #add({ room, user, changedAtMs }: Extract<ControlMessage, { type: 'add' }>): void {
    this.#parts.denied.lift(memberSubject(room, user), changedAtMs);
    for (const connection of this.#connectionsOf(user)) this.#parts.memberships.place(connection, room);
  }

  /** What members have is over: they get `reset`. */
  #cleared(room: string): void {
    const feed = this.#parts.feeds.get(room);
    if (feed !== undefined) void this.#parts.feeds.missed(feed);
  }

  /** A copy: a connection leaves the hub while it is being closed. */
  #connectionsOf(user: string): readonly Connection[] {
    return [...this.#parts.hub.connectionsOf(user)];
  }
}
