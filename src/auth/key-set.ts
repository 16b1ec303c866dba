/**
 * The keys of an identity provider: fetched when needed, kept, and never requested more often than is
 * reasonable.
 */

import {
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import { backoffMs } from '../util/backoff.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { systemScheduler } from '../util/scheduler.ts';
import { AuthFailure } from './identity.ts';
import { fetchKeySet } from './key-set-fetch.ts';
import { usableKeys } from './key-set-keys.ts';

export interface KeySetOptions {
  readonly url: URL;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default: the platform's. */
  readonly fetch?: typeof fetch;
  /** Returns a number from 0 up to but not including 1. Default: the process's random source. */
  readonly random?: () => number;
}

interface Verified {
  readonly payload: JWTPayload;
}

/** After this long the keys are fetched again in the background, so that a withdrawn key stops working. */
const REFRESH_MS = 600_000;
/** Keys are dropped once they could not be refreshed for this long: they may have been withdrawn. */
const MAX_AGE_MS = 3_600_000;
/**
 * Between two fetches caused by unknown keys. A rotation needs one; a flood of invented key ids gets no more.
 */
const REFETCH_INTERVAL_MS = 5000;
/** So many keys are tried for a token that names none: a forged one would cost a signature check with each of them. */
const MAX_TRIED = 8;
const RETRY = { baseMs: 1000, capMs: 30_000 };

/** Verifies tokens with the keys from a URL. One per node. */
export class KeySet {
  readonly #options: KeySetOptions;
  readonly #random: () => number;
  #keys: JWTVerifyGetKey | null = null;
  #fetchedAtMs = 0;
  #pending: Promise<void> | null = null;
  /** Failed fetches in a row. */
  #failures = 0;
  #retryAtMs = 0;
  /** When an unknown key may next cause a fetch. */
  #refetchAtMs = 0;
  #unusable = '';

  constructor(options: KeySetOptions) {
    this.#options = options;
    this.#random = options.random ?? systemScheduler.random;
  }

  /**
   * Fetches the keys before the first token, so that a wrong URL appears in the log at once. Never rejects.
   */
  async prepare(): Promise<void> {
    await this.#load().catch(() => undefined);
  }

  get url(): string {
    return this.#options.url.href;
  }

  /** Fetches the keys anew, unless that is being done. The present ones count until it succeeds. */
  refresh(): void {
    this.#retryAtMs = 0;
    this.#load().catch(() => undefined);
  }

  /**
   * Rejects with jose's errors for a bad token, with `AuthFailure` `unavailable` if the keys are not
   * available now.
   */
  async verify(token: string, options: JWTVerifyOptions): Promise<Verified> {
    const used: { keys: JWTVerifyGetKey | null } = { keys: null };
    // Called only once the token parses: text that is no token causes no fetch.
    const keys: JWTVerifyGetKey = async (header, input) => {
      used.keys = await this.#current();
      return used.keys(header, input);
    };
    try {
      return await verifyWith(keys, token, options);
    } catch (error) {
      if (used.keys === null || !(await this.#isWorthRefetch(error, used.keys))) throw error;
      return verifyWith(keys, token, options);
    }
  }

  async #current(): Promise<JWTVerifyGetKey> {
    const ageMs = this.#options.clock.nowMs() - this.#fetchedAtMs;
    if (this.#keys === null || ageMs >= MAX_AGE_MS) await this.#load();
    // No token waits for this: the current keys stay good until the next ones arrive.
    else if (ageMs >= REFRESH_MS) this.#load().catch(() => undefined);
    return this.#keys!;
  }

  /** After an error with `keys`: resolves with true if newer keys are here, which may include the token's. */
  async #isWorthRefetch(error: unknown, keys: JWTVerifyGetKey): Promise<boolean> {
    const isUnknownKey = error instanceof errors.JWKSNoMatchingKey;
    const isUnknownSigner = error instanceof UnnamedKeyFailure;
    if (!isUnknownKey && !isUnknownSigner) return false;
    if (keys !== this.#keys) return true;
    const nowMs = this.#options.clock.nowMs();
    if (this.#pending === null && nowMs < this.#refetchAtMs) {
      // A token without a key id was tried with every key. The keys are recent, so none of them signed it.
      if (isUnknownSigner) return false;
      throw unavailable(this.#refetchAtMs - nowMs);
    }
    if (isUnknownSigner && nowMs - this.#fetchedAtMs < REFETCH_INTERVAL_MS) return false;
    this.#refetchAtMs = nowMs + REFETCH_INTERVAL_MS;
    await this.#load();
    return true;
  }

  /** One fetch at a time. Rejects with `AuthFailure`. */
  #load(): Promise<void> {
    if (this.#pending !== null) return this.#pending;
    const waitMs = this.#retryAtMs - this.#options.clock.nowMs();
    if (waitMs > 0) return Promise.reject(unavailable(waitMs));
    this.#pending = this.#fetch().finally(() => {
      this.#pending = null;
    });
    return this.#pending;
  }

  async #fetch(): Promise<void> {
    const { url, clock } = this.#options;
    try {
      const { keys, unusable } = usableKeys(await fetchKeySet(url, this.#options.fetch ?? fetch));
      this.#keys = createLocalJWKSet({ keys } satisfies JSONWebKeySet);
      this.#fetchedAtMs = clock.nowMs();
      this.#succeeded(keys.length, unusable);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #succeeded(count: number, unusable: readonly string[]): void {
    const { url, log } = this.#options;
    if (this.#failures > 0) log.info({ url: shownUrl(url), keys: count }, 'key set fetched again');
    this.#failures = 0;
    this.#retryAtMs = 0;
    const text = unusable.join('; ');
    if (text !== '' && text !== this.#unusable) {
      log.warn({ url: shownUrl(url), unusable: text }, 'the key set has keys that cannot be used');
    }
    this.#unusable = text;
  }

  /** Logs one line when fetching starts to fail, not one per attempt. */
  #failed(error: unknown): AuthFailure {
    const { url, log, clock } = this.#options;
    const reason = error instanceof Error ? error.message : String(error);
    if (this.#failures === 0) {
      log.error({ url: shownUrl(url), reason }, 'cannot fetch the key set');
    }
    const waitMs = backoffMs(this.#failures++, { ...RETRY, random: this.#random });
    this.#retryAtMs = clock.nowMs() + waitMs;
    return unavailable(waitMs);
  }
}

/** A token without a key id that no candidate key signed. */
class UnnamedKeyFailure extends errors.JWSSignatureVerificationFailed {}

/** Tries every key that may have signed the token: several fit if it names none. */
async function verifyWith(
  keys: JWTVerifyGetKey,
  token: string,
  options: JWTVerifyOptions,
): Promise<Verified> {
  let isNamed = true;
  const noted: JWTVerifyGetKey = (header, input) => {
    isNamed = header.kid !== undefined;
    return keys(header, input);
  };
  try {
    return await jwtVerify(token, noted, options);
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) {
      const verified = await verifyWithAny(error, token, options);
      if (verified !== null) return verified;
    } else if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    throw isNamed ? new errors.JWSSignatureVerificationFailed() : new UnnamedKeyFailure();
  }
}

async function verifyWithAny(
  candidates: errors.JWKSMultipleMatchingKeys,
  token: string,
  options: JWTVerifyOptions,
): Promise<Verified | null> {
  let tried = 0;
  for await (const key of candidates) {
    if (tried++ === MAX_TRIED) return null;
    try {
      return await jwtVerify(token, key, options);
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  return null;
}

function unavailable(retryAfterMs: number): AuthFailure {
  return new AuthFailure('unavailable', 'cannot check the token now: try again later', {
    retryAfterMs: Math.max(1, Math.ceil(retryAfterMs)),
  });
}

/** Without the parts that may be secret. */
export function shownUrl({ origin, pathname }: URL): string {
  return origin + pathname;
}
