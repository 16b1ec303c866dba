/** Where tokens come from: one call at a time, whoever asks. */
import type { Timer } from '../util/scheduler.ts';
import type { Environment } from './environment.ts';
import { RoomcastError, Unauthorized } from './errors.ts';

/**
 * `connect`: the first connection is being made. `refresh`: the present token has used up most of its life. `expired`: it has
 * expired, or a node says so. `revoked`: the server has revoked it; only another one is of use.
 */
export type TokenReason = 'connect' | 'refresh' | 'expired' | 'revoked';

export type GetToken = (asked: { readonly reason: TokenReason }) => string | Promise<string>;

/** Share of a token's remaining life after which a fresh one is fetched, and after which a failed attempt is repeated. */
const REFRESH_AT = 0.8;
const REPEAT_AT = 0.4;
/** Whatever the life of a token: one that is about to expire comes back as `expired`. */
const LEAST_WAIT_MS = 1_000;

export class TokenSource {
  readonly #get: GetToken | null;
  readonly #canRefresh: boolean;
  readonly #environment: Environment;
  #token: string | null = null;
  /** The server takes it no more. */
  #revoked: string | null = null;
  #expiresAtMs = Number.POSITIVE_INFINITY;
  #fetching: Promise<string> | null = null;
  #timer: Timer | null = null;

  /** Without either the client stays anonymous. `token` does not change: it is not refreshed. */
  constructor(environment: Environment, token: string | undefined, get: GetToken | undefined) {
    this.#environment = environment;
    this.#canRefresh = get !== undefined;
    this.#get = get ?? (token === undefined ? null : unchanging(token));
  }

  /** A token for a new connection, or null for an anonymous client. Rejects with what `getToken` threw. */
  async forConnection(): Promise<string | null> {
    if (this.#get === null) return null;
    if (this.#token === null) return this.#fetch('connect');
    if (this.#token === this.#revoked) return this.#fetchAnother();
    return this.#leftMs > 0 ? this.#token : this.#fetch('expired');
  }

  /** A node said that the token has expired: the next connection brings a fresh one. */
  expired(): void {
    this.#expiresAtMs = 0;
  }

  /** The server has revoked the token: the next connection brings another one. False where there can be none. */
  revoked(): boolean {
    this.#revoked = this.#token;
    return this.#canRefresh;
  }

  /**
   * A node accepted the token. `present` sends a fresh one over the open connection in good time; while it rejects, it is tried
   * again. Where the clock here says that the token has expired already, the clock is wrong: the node tells when it is time.
   */
  accepted(
    expiresAtMs: number | null,
    present: (token: string) => Promise<unknown>,
    failed: (error: unknown) => void,
  ): void {
    this.#expiresAtMs = expiresAtMs ?? Number.POSITIVE_INFINITY;
    if (this.#canRefresh) this.#refreshAt(REFRESH_AT, present, failed);
  }

  /** No refresh is due any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  get #leftMs(): number {
    return this.#expiresAtMs - this.#environment.scheduler.wallMs();
  }

  #refreshAt(
    share: number,
    present: (token: string) => Promise<unknown>,
    failed: (error: unknown) => void,
  ): void {
    this.stop();
    const leftMs = this.#leftMs;
    if (leftMs <= 0 || leftMs === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.max(LEAST_WAIT_MS, leftMs * share);
    const timer = this.#environment.scheduler.after(waitMs, () => {
      this.#fetch('refresh')
        .then((token) => this.#timer === timer && present(token))
        .catch((error) => {
          if (this.#timer !== timer) return;
          failed(error);
          // Unless that stopped it.
          if (this.#timer === timer) this.#refreshAt(REPEAT_AT, present, failed);
        });
    });
    this.#timer = timer;
  }

  #fetch(reason: TokenReason): Promise<string> {
    this.#fetching ??= this.#ask(reason).finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetchAnother(): Promise<string> {
    const token = await this.#fetch('revoked');
    if (token !== this.#revoked) return token;
    throw new Unauthorized('the server has revoked the token, and getToken returned the same one again');
  }

  async #ask(reason: TokenReason): Promise<string> {
    const token = await this.#get!({ reason });
    if (typeof token !== 'string' || token === '') throw new RoomcastError('getToken returned no token');
    this.#token = token;
    this.#expiresAtMs = Number.POSITIVE_INFINITY;
    return token;
  }
}

/** It is all there is: where it has expired, asking a node again would be in vain. */
function unchanging(token: string): GetToken {
  return ({ reason }) => {
    if (reason === 'connect') return token;
    throw new Unauthorized('the token has expired: pass getToken, which gets fresh ones');
  };
}
