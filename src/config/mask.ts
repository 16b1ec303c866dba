/** The configuration without its secrets. */
import { splitRedisUrls } from '../util/redis-url.ts';
import type { Config } from './config.ts';
import { hasHost } from './fields.ts';

const MASK = '***';

/** A copy to print, not one to run with. */
export function maskSecrets(config: Config): Config {
  const { tls, redis, auth } = config;
  return {
    ...config,
    apiKeys: config.apiKeys.map(maskKey),
    tls: tls && { ...tls, passphrase: masked(tls.passphrase) },
    redis: { ...redis, url: maskUrls(redis.url), sentinels: maskUrls(redis.sentinels) },
    auth: {
      ...auth,
      secret: masked(auth.secret),
      oldSecrets: auth.oldSecrets.map(() => MASK),
      jwksUrl: auth.jwksUrl === null ? null : maskUrl(auth.jwksUrl),
    },
    metrics: { ...config.metrics, key: masked(config.metrics.key) },
  };
}

function maskUrls(urls: string | null): string | null {
  return urls === null ? null : splitRedisUrls(urls).map(maskUrl).join(',');
}

/**
 * A URL without its password, wherever it appears. Text that is not a URL may be anything and is masked
 * whole.
 */
export function maskUrl(text: string): string {
  if (!hasHost(text)) return MASK;
  const url = new URL(text);
  if (url.password !== '') url.password = MASK;
  for (const name of url.searchParams.keys()) {
    if (/password|token|secret|key|sig/i.test(name)) url.searchParams.set(name, MASK);
  }
  return url.href;
}

/** The hash too: that of a key that somebody made up can be guessed from. */
function maskKey(apiKey: Config['apiKeys'][number]): Config['apiKeys'][number] {
  if (typeof apiKey === 'string') return MASK;
  const { key, ...rest } = apiKey;
  return key === undefined ? { ...rest, sha256: MASK } : { ...rest, key: MASK };
}

function masked(secret: string | null): string | null {
  return secret === null ? null : MASK;
}
