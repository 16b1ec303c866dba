import type { Authenticator, Identity } from '../auth/identity.ts';
import { type AuthRefusal, refusalOf } from '../auth/refusal.ts';
import { CLOSE } from '../protocol/codes.ts';
import type { AuthCommand } from '../protocol/frames.ts';
import type { Logger } from '../util/log.ts';
import type { Connection } from './connection.ts';
import type { OverLimit } from './over-limit.ts';

export interface AuthenticationParts {
  /** Null if no authentication is configured: every connection is anonymous. */
  readonly authenticator: Authenticator | null;
  /** Whether a user may have one more connection: null if so. */
  userFull(user: string): OverLimit | null;
  /** A connection has authenticated, or did so again. */
  identified(connection: Connection, identity: Identity): void;
  readonly log: Logger;
}

/** Presents a token in band, or refreshes one. Commands that arrive during the check wait, in order. */
export function presentToken(connection: Connection, command: AuthCommand, parts: AuthenticationParts): void {
  const { authenticator, log } = parts;
  if (authenticator === null) {
    return connection.fail(
      command.id,
      'bad_request',
      'authentication is not configured: connect without a token',
    );
  }
  connection.pause();
  authenticator
    .authenticate(command.token, connection.socket.addressKey)
    .then((identity) => accept(connection, command.id, identity, parts))
    .catch((error: unknown) => refuse(connection, command.id, refusalOf(error, log)));
}

function accept(
  connection: Connection,
  id: number,
  identity: Identity,
  { identified, userFull }: AuthenticationParts,
): void {
  if (!connection.isOpen) return;
  const present = connection.identity;
  if (present !== null && present.user !== identity.user) {
    connection.fail(id, 'unauthorized', 'the new token must be for the same user');
    return connection.close(CLOSE.unauthorized);
  }
  // It counts already as one of the same user.
  const full = present === null ? userFull(identity.user) : null;
  if (full !== null) {
    connection.overLimit(id, full);
    return connection.awaitsAuth ? connection.close(CLOSE.tryAgainLater) : connection.resume();
  }
  identified(connection, identity);
  connection.ok(id, { user: identity.user, expiresAt: identity.expiresAtMs });
  connection.resume();
}

function refuse(connection: Connection, id: number, refusal: AuthRefusal): void {
  if (!connection.isOpen) return;
  const { code, message, details, close, isFinal } = refusal;
  connection.fail(id, code, message, details);
  // Not the token's fault: an identified connection stays, and others should retry, which 4501 would forbid.
  if (isFinal || connection.awaitsAuth) connection.close(close);
  else connection.resume();
}
