import { type Redis, type RedisOptions, SentinelConnector } from 'ioredis';
import { shownAddress } from '../../../util/redis-url.ts';
import type { LoginWatch } from './login-watch.ts';
import { quietLogin } from './quiet-login.ts';
import { isNeedlessPassword } from './redis-errors.ts';
import type { SentinelWatch } from './sentinel-watch.ts';

/** Their replies show that a Sentinel serves us. Others, such as CLIENT SETINFO, it may refuse to a user. */
const TELLING = new Set(['auth', 'sentinel', 'subscribe']);
/** We closed the connection: that says nothing. */
const CLOSED = 'Connection is closed.';

const PATIENT: object = { maxRetriesPerRequest: null, commandTimeout: undefined };

interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * ioredis keeps a connection of its own to each Sentinel, and prints its errors, with a stack, at each attempt: a dozen a second
 * while one Sentinel is down. There is no option against that. The watches are told instead.
 */
export function quietSentinels(redis: Redis, watch: SentinelWatch, logins: LoginWatch): void {
  const connector: unknown = redis['connector'];
  if (!(connector instanceof SentinelConnector)) return;
  const connect: (endpoint: Endpoint, options?: RedisOptions) => Redis =
    connector['connectToSentinel'].bind(connector);
  connector['connectToSentinel'] = (endpoint: Endpoint, options?: RedisOptions) => {
    // A connection with options of its own waits for news, and so waits for a Sentinel that is down as well. By default ioredis
    // gives up after 20 attempts, and then never hears of a failover from it.
    const sentinel = connect(endpoint, options && { ...options, ...PATIENT });
    const address = shownAddress(endpoint);
    quietLogin(sentinel, (isNeedless) => logins.loggedIn(address, isNeedless, 'redis.sentinels'));
    sentinel.on('error', (error: Error) => watch.failed(address, error));
    const send = sentinel.sendCommand.bind(sentinel);
    sentinel.sendCommand = (command, stream) => {
      if (TELLING.has(command.name)) {
        command.promise.then(
          () => watch.answered(address),
          (error: Error) => saysNothing(error) || watch.failed(address, error),
        );
      }
      return send(command, stream);
    };
    return sentinel;
  };
}

function saysNothing({ message }: Error): boolean {
  return message === CLOSED || isNeedlessPassword(message);
}
