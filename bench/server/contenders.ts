/**
 * The available rows. A new peer needs an entry here, a server file beside it, and a dialect if it has its
 * own protocol.
 */
import { fileURLToPath } from 'node:url';
import { CENTRIFUGO_ENV, startCentrifugo, withoutCentrifugo } from './centrifugo.ts';
import type { Contender, Surroundings } from './contender.ts';

/** Of this folder, built. */
const scriptAt = (name: string): string => fileURLToPath(new URL(`./${name}.js`, import.meta.url));
const moduleAt = (path: string): string => new URL(path, import.meta.url).href;

const PLAIN = moduleAt('./plain-dialect.js');
const MSGPACK = moduleAt('../../src/load/roomcast-dialect.js');
const JSON_TEXT = moduleAt('../../src/load/roomcast-json-dialect.js');
const SOCKET_IO = moduleAt('./socket.io-dialect.js');
const CENTRIFUGO = moduleAt('./centrifugo-dialect.js');

/** The built broker. This file runs from `bench/dist/bench/server`. */
export const ROOMCAST_MAIN = fileURLToPath(new URL('../../../../dist/main.js', import.meta.url));

const CONTROL = 'bare';

/** Defaults of a node, without the rate limits, which would stop a bench. */
const ROOMCAST_ENV = {
  ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '0',
  ROOMCAST_LIMITS_BYTES_PER_SECOND: '0',
  ROOMCAST_LIMITS_USER_BYTES_PER_SECOND: '0',
  ROOMCAST_LOG_LEVEL: 'warn',
};
const NO_HISTORY = { ROOMCAST_HISTORY_MESSAGES: '0' };
const NO_PRESENCE = { ROOMCAST_ROOMS: '[{"match":"*","presence":false}]' };

function serve({ port, redisUrl, roomcastMain }: Surroundings): string[] {
  const where = ['--host', '127.0.0.1', '--port', String(port)];
  return [roomcastMain, 'serve', ...where, ...(redisUrl === '' ? [] : ['--redis', redisUrl])];
}

function serveOnCluster(surroundings: Surroundings): string[] {
  return [...serve(surroundings), '--redis-cluster'];
}

/** A Roomcast row: a node with defaults, except for the given settings. */
function roomcast(name: string, what: string, but: Partial<Contender> = {}): Contender {
  const usesRedis = /^roomcast-(redis|cluster)/.test(name);
  const http = 'json' as const;
  return { name, what, dialect: MSGPACK, usesRedis, arguments: serve, env: ROOMCAST_ENV, http, ...but };
}

function peer(name: string, what: string, but: Partial<Contender> = {}): Contender {
  const script = scriptAt(`${name}-server`);
  const start = ({ port, redisUrl }: Surroundings): string[] => [script, String(port), redisUrl];
  return { name, what, dialect: PLAIN, usesRedis: false, arguments: start, env: {}, ...but };
}

function socketIo(name: string, what: string, but: Partial<Contender> = {}): Contender {
  return peer(name, what, { dialect: SOCKET_IO, usesRedis: true, ...but });
}

function centrifugo(name: string, what: string, usesRedis: boolean): Contender {
  const start = { arguments: startCentrifugo, env: CENTRIFUGO_ENV, unavailable: withoutCentrifugo };
  return { name, what, dialect: CENTRIFUGO, usesRedis, ...start };
}

/** How often the row with quick pings asks whether a link lives, and how long it waits: a dead one is seen within 1.6 s. */
const QUICK_PING_MS = 800;
const STREAMS_SCRIPT = scriptAt('socket.io-streams-server');

const CONTENDERS: readonly Contender[] = [
  peer(CONTROL, 'uWebSockets.js, one app.publish a message: the control row', { http: 'plain' }),
  peer('bare-redis', 'uWebSockets.js and ioredis in 50 lines, auto-pipelining on', {
    usesRedis: true,
    http: 'plain',
  }),
  roomcast('roomcast', 'a Roomcast node, memory backplane, history on, publishes acknowledged'),
  roomcast('roomcast-redis', 'the same node with Redis in the path: stored and relayed there'),
  ...[1, 3, 6].map((masters) =>
    roomcast(
      `roomcast-cluster-${masters}`,
      `the same node on a Redis Cluster of ${masters} ${masters === 1 ? 'master' : 'masters'}`,
      { redisMasters: masters, arguments: serveOnCluster },
    ),
  ),
  roomcast('roomcast-no-history', 'memory backplane, rooms without history', {
    env: { ...ROOMCAST_ENV, ...NO_HISTORY },
  }),
  roomcast('roomcast-redis-no-history', 'Redis, rooms without history: relayed, not stored', {
    env: { ...ROOMCAST_ENV, ...NO_HISTORY },
  }),
  roomcast('roomcast-json', 'memory backplane, members speak JSON', { dialect: JSON_TEXT }),
  roomcast('roomcast-redis-json', 'Redis, members speak JSON', { dialect: JSON_TEXT }),
  roomcast('roomcast-no-presence', 'memory backplane, presence off', {
    env: { ...ROOMCAST_ENV, ...NO_PRESENCE },
  }),
  roomcast('roomcast-redis-no-presence', 'Redis, presence off', {
    env: { ...ROOMCAST_ENV, ...NO_PRESENCE },
  }),
  peer('ws', 'the ws package, a set of sockets for each room, one process'),
  socketIo('socket.io-redis', 'Socket.IO with its Redis adapter'),
  socketIo('socket.io-streams', 'Socket.IO with its Redis Streams adapter, state recovery on'),
  socketIo('socket.io-streams-quick-ping', 'the same, pinging every 0.8 s instead of every 25 s', {
    arguments: ({ port, redisUrl }) => [STREAMS_SCRIPT, String(port), redisUrl, String(QUICK_PING_MS)],
  }),
  centrifugo('centrifugo', 'Centrifugo 6, memory engine, history and recovery on', false),
  centrifugo('centrifugo-redis', 'the same with its Redis engine', true),
];

/** `roomcast-redis x3`: the row `roomcast-redis` on three nodes. */
const ON_NODES = /^(?<base>.+) x(?<nodes>[1-9])$/;

/** A row of the list, or one of them on several nodes. Throws with the known names. */
export function contenderNamed(name: string): Contender {
  const { base = name, nodes } = ON_NODES.exec(name)?.groups ?? {};
  const found = CONTENDERS.find((contender) => contender.name === base);
  if (!found) {
    const names = CONTENDERS.map((contender) => contender.name).join(', ');
    throw new Error(`unknown row "${base}": choose from ${names}`);
  }
  if (nodes === undefined) return found;
  return { ...found, name, nodes: Number(nodes), what: `${found.what}; ${nodes} nodes on one core` };
}
