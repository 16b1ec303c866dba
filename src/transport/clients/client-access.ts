import { type Authenticator, AuthFailure, type Identity } from '../../auth/identity.ts';
import { type AuthRefusal, refusalOf } from '../../auth/refusal.ts';
import { REVOKED, type Revocations } from '../../auth/token-gate.ts';
import type { Logger } from '../../util/log.ts';
import { bearerOf } from '../bearer.ts';
import type { Exchange } from '../http/exchange.ts';
import { HttpError } from '../http/http-error.ts';
import { queryParameter } from '../http/query.ts';
import type { HttpRequest } from '../uws.ts';

export interface ClientAccessOptions {
  /** Null: everyone is anonymous, and tokens are not read. */
  readonly authenticator: Authenticator | null;
  readonly mustAuthenticate: boolean;
  readonly revocations: Revocations;
  readonly log: Logger;
}

const CHALLENGE = { 'WWW-Authenticate': 'Bearer' };

/** Who a request on a client route comes from, by its token: the same answer as for a WebSocket. */
export class ClientAccess {
  readonly #options: ClientAccessOptions;

  constructor(options: ClientAccessOptions) {
    this.#options = options;
  }

  /** The token of a request, null for none. Throws `HttpError` where one is needed, and for one that is not text. */
  token(exchange: Exchange, req: HttpRequest): string | null {
    const { authenticator, mustAuthenticate } = this.#options;
    if (authenticator === null) return null;
    const token = bearerOf(exchange.authorization) ?? queryParameter(req, 'token') ?? '';
    if (token !== '') return token;
    if (!mustAuthenticate) return null;
    throw new HttpError(
      'unauthorized',
      "send a client's token: Authorization: Bearer <token>, or ?token= where headers cannot be set",
      CHALLENGE,
    );
  }

  /** The owner of a token, null for an anonymous client. Rejects with `HttpError`. `addressKey`: of the client. */
  async identify(token: string | null, addressKey: string | null): Promise<Identity | null> {
    const { authenticator, log } = this.#options;
    if (token === null || authenticator === null) return null;
    try {
      return await authenticator.authenticate(token, addressKey);
    } catch (error) {
      throw refused(refusalOf(error, log));
    }
  }

  /** For who has waited since `identify`, and may have been revoked meanwhile. Nothing may be awaited after it. Throws `HttpError`. */
  recheck(identity: Identity | null): void {
    const { revocations, log } = this.#options;
    if (identity === null || !revocations.isRevoked(identity)) return;
    throw refused(refusalOf(new AuthFailure('token_revoked', REVOKED), log));
  }
}

function refused({ code, message, details, isFinal }: AuthRefusal): HttpError {
  if (!isFinal) return new HttpError(code, message, {}, details);
  const hint = code === 'unauthorized' ? "; this route takes a client's token, not an API key" : '';
  return new HttpError(code, message + hint, CHALLENGE);
}
