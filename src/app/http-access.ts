import type { Config } from '../config/config.ts';
import { ApiGuard, type ApiMode } from '../transport/http/api-guard.ts';
import { BearerKeys, type KnownKey } from '../transport/http/bearer-keys.ts';
import type { Logger } from '../util/log.ts';

/** Who may use the HTTP API and read the metrics. Both take other keys while the node runs. */
export interface HttpAccess {
  readonly apiGuard: ApiGuard;
  readonly metricsKeys: BearerKeys<null>;
}

/** Logs once who may use the HTTP API. */
export function createHttpAccess({ apiKeys, production, auth, metrics }: Config, log: Logger): HttpAccess {
  const authenticates = (auth.secret ?? auth.publicKeyFile ?? auth.jwksUrl) !== null;
  const apiGuard = new ApiGuard({ apiKeys, production, authenticates });
  log.info({ api: apiGuard.mode }, API_MODES[apiGuard.mode]);
  return { apiGuard, metricsKeys: new BearerKeys(metricsKeysOf(metrics.key), 'metrics key') };
}

export function metricsKeysOf(key: string | null): KnownKey<null>[] {
  return key === null ? [] : [{ key, owner: null }];
}

const API_MODES: Readonly<Record<ApiMode, string>> = {
  keys: 'the HTTP API requires an API key',
  loopback: 'the HTTP API has no key: it answers only requests from this machine',
  off: 'the HTTP API is off: set ROOMCAST_API_KEYS to use it',
};
