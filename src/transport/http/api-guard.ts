import type { HttpRequest } from '../uws.ts';
import { BearerKeys } from './bearer-keys.ts';
import { type Exchange, HttpError } from './exchange.ts';
import { notLocal, requestFacts } from './local-request.ts';

export interface ApiGuardOptions {
  /** Keys for the HTTP API. */
  readonly apiKeys: readonly string[];
  readonly production: boolean;
  /** Whether clients need tokens. */
  readonly authenticates: boolean;
}

/**
 * Who may use the HTTP API: anyone with a key; without keys, only this machine during development; or nobody,
 * in production and when authentication is configured.
 */
export type ApiMode = 'keys' | 'loopback' | 'off';

export function apiMode({ apiKeys, production, authenticates }: ApiGuardOptions): ApiMode {
  if (apiKeys.length > 0) return 'keys';
  return production || authenticates ? 'off' : 'loopback';
}

/** Throws `HttpError` for a request that may not use the HTTP API. Called before anything is awaited. */
export type ApiGuard = (exchange: Exchange, req: HttpRequest) => void;

export function apiGuard(options: ApiGuardOptions): ApiGuard {
  const mode = apiMode(options);
  if (mode === 'keys') return keyGuard(options.apiKeys);
  return mode === 'loopback' ? loopbackGuard : offGuard(options);
}

function keyGuard(apiKeys: readonly string[]): ApiGuard {
  const keys = new BearerKeys(apiKeys, 'API key');
  return ({ authorization }) => {
    const problem = keys.problem(authorization);
    if (problem !== null) throw new HttpError('unauthorized', problem, { 'WWW-Authenticate': 'Bearer' });
  };
}

function loopbackGuard(exchange: Exchange, req: HttpRequest): void {
  const reason = notLocal(requestFacts(req, exchange.peerAddress));
  if (reason === null) return;
  throw new HttpError(
    'forbidden',
    `without an API key the HTTP API answers only local requests: ${reason}. Set ROOMCAST_API_KEYS`,
  );
}

function offGuard({ production }: ApiGuardOptions): ApiGuard {
  const where = production ? 'in production' : 'when authentication is configured';
  return () => {
    throw new HttpError(
      'forbidden',
      `the HTTP API is off ${where} without an API key: set ROOMCAST_API_KEYS`,
    );
  };
}
