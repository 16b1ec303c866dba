import { fullKey, type KeyRights, type ServerKey, serverKey } from '../../auth/server-key.ts';
import type { HttpRequest } from '../uws.ts';
import { BearerKeys, type KnownKey } from './bearer-keys.ts';
import type { Exchange } from './exchange.ts';
import { HttpError } from './http-error.ts';
import { notLocal, requestFacts } from './local-request.ts';

/** A key as in the settings: as text it may do everything. */
export type ApiKeySetting =
  | string
  | (KeyRights & { readonly key?: string | undefined; readonly sha256?: string | undefined });

export interface ApiGuardOptions {
  readonly apiKeys: readonly ApiKeySetting[];
  readonly production: boolean;
  /** Whether clients need tokens. */
  readonly authenticates: boolean;
}

/**
 * Who may use the HTTP API: anyone with a key; without keys, only this machine during development; or nobody,
 * in production and when authentication is configured.
 */
export type ApiMode = 'keys' | 'loopback' | 'off';

export class ApiGuard {
  readonly #keys: BearerKeys<ServerKey>;
  readonly #options: ApiGuardOptions;

  constructor(options: ApiGuardOptions) {
    this.#options = options;
    this.#keys = new BearerKeys(knownKeys(options.apiKeys), 'API key');
  }

  get mode(): ApiMode {
    if (this.#keys.count > 0) return 'keys';
    const { production, authenticates } = this.#options;
    return production || authenticates ? 'off' : 'loopback';
  }

  /** From now on only these keys count. */
  replaceKeys(apiKeys: readonly ApiKeySetting[]): void {
    this.#keys.replace(knownKeys(apiKeys));
  }

  /**
   * The key of a request; null where none is needed. Throws `HttpError` for a request that may not use the HTTP
   * API. Called before anything is awaited.
   */
  check(exchange: Exchange, req: HttpRequest): ServerKey | null {
    const { mode } = this;
    if (mode === 'off') throw off(this.#options);
    if (mode === 'loopback') return checkLocal(exchange, req);
    const found = this.#keys.find(exchange.authorization);
    if ('owner' in found) return found.owner;
    throw new HttpError('unauthorized', found.problem, { 'WWW-Authenticate': 'Bearer' });
  }
}

function knownKeys(apiKeys: readonly ApiKeySetting[]): KnownKey<ServerKey>[] {
  return apiKeys.map((setting, at) => {
    if (typeof setting === 'string') return { key: setting, owner: fullKey(`apiKeys[${at}]`) };
    const owner = serverKey(setting);
    return setting.key === undefined ? { sha256: setting.sha256 ?? '', owner } : { key: setting.key, owner };
  });
}

function checkLocal(exchange: Exchange, req: HttpRequest): null {
  const reason = notLocal(requestFacts(req, exchange.peerAddress));
  if (reason === null) return null;
  throw new HttpError(
    'forbidden',
    `without an API key the HTTP API answers only local requests: ${reason}. Set ROOMCAST_API_KEYS`,
  );
}

function off({ production }: ApiGuardOptions): HttpError {
  const where = production ? 'in production' : 'when authentication is configured';
  return new HttpError('forbidden', `the HTTP API is off ${where} without an API key: set ROOMCAST_API_KEYS`);
}
