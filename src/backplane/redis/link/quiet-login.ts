/**
 * ioredis prints some of what servers answer to its first commands, as bare lines between ours, at each connection. There is no option
 * against that: the answer is taken before ioredis sees it, and told.
 */
import type { Redis } from 'ioredis';
import { isNeedlessPassword } from './redis-errors.ts';

/** `told` hears of each login whether the server required the password. */
export function quietLogin(redis: Redis, told: (isNeedless: boolean) => void): void {
  const auth = redis.auth.bind(redis) as (...args: unknown[]) => Promise<unknown>;
  const quietAuth = async (...args: unknown[]) => {
    try {
      const answer = await auth(...args);
      told(false);
      return answer;
    } catch (error) {
      const { message } = error as Error;
      if (message.includes("wrong number of arguments for 'auth'")) {
        throw new Error('it knows no user names: it is older than Redis 6', { cause: error });
      }
      if (!isNeedlessPassword(message)) throw error;
      // The login is done: such a server takes everybody.
      told(true);
      return 'OK';
    }
  };
  redis.auth = quietAuth as Redis['auth'];
  skipRefusedReadyCheck(redis);
}

type Callback = (error: Error | null, answer?: unknown) => void;

/** Only ioredis asks with a callback. A user who may not ask INFO goes on without its ready check; the links ask and say so themselves. */
function skipRefusedReadyCheck(redis: Redis): void {
  const info = redis.info.bind(redis) as (...args: unknown[]) => Promise<unknown>;
  const quietInfo = (...args: unknown[]) => {
    const callback = args.at(-1);
    if (typeof callback !== 'function') return info(...args);
    const quiet: Callback = (error, answer) =>
      error?.message.includes('NOPERM') ? callback(null, '') : callback(error, answer);
    return info(...args.slice(0, -1), quiet);
  };
  redis.info = quietInfo as Redis['info'];
}
