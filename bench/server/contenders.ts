/** The rows that can be run. A new peer is an entry here, a server file beside, and a dialect if it has its own protocol. */
import { fileURLToPath } from 'node:url';
import type { Contender, Surroundings } from './contender.ts';

const BARE = fileURLToPath(new URL('./bare-server.js', import.meta.url));
const BARE_REDIS = fileURLToPath(new URL('./bare-redis-server.js', import.meta.url));
/** The built broker. This file runs from `bench/dist/bench/server`. */
export const ROOMCAST_MAIN = fileURLToPath(new URL('../../../../dist/main.js', import.meta.url));

/** Everything as a node has it by default, but for the rate limit, which is there to stop what a bench does. */
const ROOMCAST_ENV = { ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '0', ROOMCAST_LOG_LEVEL: 'warn' };

function roomcast({ port, redisUrl, roomcastMain }: Surroundings): string[] {
  const where = ['--host', '127.0.0.1', '--port', String(port)];
  return [roomcastMain, 'serve', ...where, ...(redisUrl === '' ? [] : ['--redis', redisUrl])];
}

export const CONTROL = 'bare';

export const CONTENDERS: readonly Contender[] = [
  {
    name: CONTROL,
    what: 'uWebSockets.js, one app.publish a message: the control row',
    dialect: 'plain',
    usesRedis: false,
    arguments: ({ port }) => [BARE, String(port)],
    env: {},
  },
  {
    name: 'bare-redis',
    what: 'uWebSockets.js and ioredis in 40 lines, auto-pipelining on',
    dialect: 'plain',
    usesRedis: true,
    arguments: ({ port, redisUrl }) => [BARE_REDIS, String(port), redisUrl],
    env: {},
  },
  {
    name: 'roomcast',
    what: 'a Roomcast node, memory backplane, history on, publishes acknowledged',
    dialect: 'roomcast',
    usesRedis: false,
    arguments: roomcast,
    env: ROOMCAST_ENV,
  },
  {
    name: 'roomcast-redis',
    what: 'the same node with Redis in the path: stored and relayed there',
    dialect: 'roomcast',
    usesRedis: true,
    arguments: roomcast,
    env: ROOMCAST_ENV,
  },
];

/** Throws with the names that there are. */
export function contenderNamed(name: string): Contender {
  const found = CONTENDERS.find((contender) => contender.name === name);
  if (found) return found;
  const names = CONTENDERS.map((contender) => contender.name).join(', ');
  throw new Error(`there is no row "${name}": choose of ${names}`);
}
