/** Where a Redis is, as ioredis options. ioredis's own URL parser ignores what it does not understand. */
import type { ConnectionOptions } from 'node:tls';
import { Redis, type RedisOptions } from 'ioredis';
import { silentLog } from '../../../util/log.ts';
import type { RedisAddress, SentinelGroup } from '../../../util/redis-url.ts';
import { LoginWatch } from './login-watch.ts';
import { quietLogin } from './quiet-login.ts';
import { quietSentinels } from './quiet-sentinels.ts';
import { SentinelWatch } from './sentinel-watch.ts';

const SENTINEL_RETRY_MS = 250;
const SENTINEL_TIMEOUT_MS = 1_000;

/**
 * Without the database: a failed SELECT of ioredis's own is only an event, after which it writes to database
 * 0. The writer sends SELECT itself and reads the reply.
 */
export function serverOptions(address: RedisAddress, tls: ConnectionOptions | undefined): RedisOptions {
  const { host, port, username, password, isSecure, sentinels } = address;
  return {
    ...(sentinels === undefined ? { host, port } : sentinelOptions(sentinels, isSecure, tls)),
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    ...(isSecure ? { tls: tls ?? {} } : {}),
  };
}

/** ioredis asks the Sentinels at each attempt to connect, and drops the link when they say that another is the primary. */
function sentinelOptions(
  { name, addresses }: SentinelGroup,
  isSecure: boolean,
  tls: ConnectionOptions | undefined,
): RedisOptions {
  const { username, password, isSecure: isSecureSentinel } = addresses[0]!;
  return {
    sentinels: addresses.map(({ host, port }) => ({ host, port })),
    name,
    // A frozen primary that wakes would be written to: it does not know that it was replaced.
    failoverDetector: true,
    updateSentinels: false,
    // Without a number ioredis would give up for good where no Sentinel answers.
    sentinelRetryStrategy: () => SENTINEL_RETRY_MS,
    sentinelReconnectStrategy: () => SENTINEL_RETRY_MS,
    sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
    ...(username === null ? {} : { sentinelUsername: username }),
    ...(password === null ? {} : { sentinelPassword: password }),
    ...(isSecureSentinel ? { sentinelTLS: tls ?? {} } : {}),
    ...(isSecure ? { enableTLSForSentinelMode: true } : {}),
  };
}

export interface Login {
  /** A password is given, and the server requires none. */
  isNeedless: boolean;
}

export interface TrialOptions {
  readonly address: RedisAddress;
  readonly tls?: ConnectionOptions | undefined;
  /** For connecting, and for each answer. */
  readonly timeoutMs: number;
}

/**
 * Runs `work` on a connection that is made once and closed afterwards. Rejects with the reason if it cannot
 * connect.
 */
export async function onTrial<T>(
  options: TrialOptions,
  work: (redis: Redis, login: Login) => Promise<T>,
): Promise<T> {
  const { address, tls, timeoutMs } = options;
  const redis = new Redis({
    ...serverOptions(address, tls),
    sentinelRetryStrategy: () => null,
    failoverDetector: false,
    protocol: 2,
    replyMapping: 'legacy',
    lazyConnect: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    // Nothing is sent in the background, so that the first command gets the first reply. A server without a
    // free connection sends one and hangs up, and a client that has sent more by then only sees that the
    // connection is gone.
    disableClientInfo: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    retryStrategy: () => null,
  });
  const login: Login = { isNeedless: false };
  quietLogin(redis, (isNeedless) => {
    login.isNeedless = isNeedless;
  });
  quietSentinels(redis, new SentinelWatch(silentLog), new LoginWatch(silentLog));
  let lastError: Error | null = null;
  redis.on('error', (error: Error) => {
    lastError = error;
  });
  try {
    await redis.connect();
    return await work(redis, login);
  } catch (error) {
    // `connect` says only that the connection is closed; the event before it says why.
    throw isClosed(error) && lastError !== null ? lastError : error;
  } finally {
    redis.disconnect();
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && error.message === 'Connection is closed.';
}
