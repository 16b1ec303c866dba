import { SignJWT } from 'jose';
import { type Authenticator, AuthFailure, type Identity } from '../auth/identity.ts';
import type { TestClock } from './test-clock.ts';

/** What a token says. */
export interface TestTokenClaims {
  readonly user: string;
  /** Shown to other members beside the user. */
  readonly info?: unknown;
  /**
   * Milliseconds of the broker's clock until it expires, rounded up to seconds; the broker takes it for five
   * seconds more. Default: it does not expire.
   */
  readonly expiresInMs?: number;
  /** Its own id, which it can be revoked by. Default: a random one. */
  readonly jti?: string;
  /** Grants for rooms, as in the token's `rooms` claim. Default: the token restricts nothing. */
  readonly rooms?: readonly {
    readonly match: string;
    readonly join?: boolean;
    readonly publish?: boolean;
    /** Left out, these follow `join`. */
    readonly members?: boolean;
    readonly history?: boolean;
    readonly ack?: boolean;
    readonly presence?: boolean;
  }[];
}

export interface TestTokensParts {
  readonly authenticator: Authenticator;
  /** Null: the broker checks tokens with keys that it cannot sign with. */
  readonly secret: string | null;
  readonly issuer: string | null;
  readonly audience: string | null;
  readonly clock: TestClock;
}

/** Mints tokens, checks them as a node does, and makes those of a user expire. */
export class TestTokens implements Authenticator {
  readonly #parts: TestTokensParts;
  /** Minted, or presented and found good; by user. */
  readonly #known = new Map<string, Set<string>>();
  readonly #expired = new Set<string>();

  constructor(parts: TestTokensParts) {
    this.#parts = parts;
  }

  /** Rejects where the broker has no secret to sign with. */
  async mint({ user, info, expiresInMs, jti, rooms }: TestTokenClaims): Promise<string> {
    const { secret, issuer, audience, clock } = this.#parts;
    if (secret === null) {
      throw new Error('the broker cannot sign tokens: set auth.secret, or sign them with your own key');
    }
    const claims = new SignJWT({
      ...(info === undefined ? {} : { info }),
      ...(rooms === undefined ? {} : { rooms }),
    })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(user)
      // Two tokens of one second differ, so that the older one can expire alone.
      .setJti(jti ?? crypto.randomUUID());
    if (expiresInMs !== undefined) claims.setExpirationTime(Math.ceil((clock.wallMs() + expiresInMs) / 1000));
    if (issuer !== null) claims.setIssuer(issuer);
    if (audience !== null) claims.setAudience(audience);
    const token = await clock.track(claims.sign(new TextEncoder().encode(secret)));
    this.#note(user, token);
    return token;
  }

  /** Makes every token of the user that was minted or presented until now an expired one. */
  expire(user: string): void {
    for (const token of this.#known.get(user) ?? []) this.#expired.add(token);
    this.#known.delete(user);
  }

  /** As a node does; rejects with `AuthFailure`. */
  authenticate(token: string): Promise<Identity> {
    return this.#parts.clock.track(this.#authenticate(token));
  }

  async #authenticate(token: string): Promise<Identity> {
    const identity = await this.#parts.authenticator.authenticate(token);
    // After the check: a token that expires meanwhile has expired.
    if (this.#expired.has(token)) throw new AuthFailure('token_expired', 'the token has expired');
    this.#note(identity.user, token);
    return identity;
  }

  #note(user: string, token: string): void {
    const tokens = this.#known.get(user) ?? new Set();
    this.#known.set(user, tokens.add(token));
  }
}
