import { type Redis, SentinelConnector } from 'ioredis';

/**
 * ioredis keeps a connection of its own to each Sentinel, and prints its errors, with a stack, at each attempt: a dozen a second
 * while one Sentinel is down. There is no option against that. What matters of it reaches the link: that no Sentinel answers, or
 * that another server is the primary.
 */
export function quietSentinels(redis: Redis): void {
  const connector: unknown = redis['connector'];
  if (!(connector instanceof SentinelConnector)) return;
  const connect: (...args: unknown[]) => Redis = connector['connectToSentinel'].bind(connector);
  connector['connectToSentinel'] = (...args: unknown[]) => {
    const sentinel = connect(...args);
    sentinel.on('error', () => undefined);
    return sentinel;
  };
}
