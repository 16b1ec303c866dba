/** The rights that a node needs in Redis, and whether it has them. */
import type { Redis } from 'ioredis';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { Keys } from '../keys/keys.ts';
import { isNotRun, isRefusedWrite, isUnknownCommand } from '../link/redis-errors.ts';
import { checkScript, type ScriptTarget } from '../scripts/scripts.ts';

/** What Redis refuses a node. */
export type Obstacle =
  /** A right that the user lacks, as an ACL spells it: `+xadd`, `~rc:{*`, `&rc:{*`. */
  | { readonly kind: 'right'; readonly right: string }
  /** A command that the server does not know: it was renamed, disabled, or never existed. */
  | { readonly kind: 'unknown'; readonly command: string }
  /** The database does not exist. */
  | { readonly kind: 'database'; readonly reply: string }
  /** No one may write at present: no memory, no disk, no replica. */
  | { readonly kind: 'writes'; readonly reply: string }
  | { readonly kind: 'other'; readonly command: string; readonly reply: string };

/** Commands that a node sends itself, besides those that `check.lua` tries. */
const SENT = ['info', 'ping', 'script|load', 'evalsha', 'subscribe', 'unsubscribe'];
/** Commands that scripts call or a node sends, on keys and channels: tried by `check.lua`. */
const TRIED = [
  ...['del', 'exists', 'get', 'hdel', 'hget', 'hgetall', 'hincrby', 'hlen', 'hmget', 'hscan', 'hset'],
  ...['hsetnx', 'memory|usage', 'pexpire', 'pttl', 'publish', 'pubsub|numsub', 'set', 'setrange', 'time'],
  ...['xadd', 'xlen', 'xrange', 'xrevrange', 'zadd', 'zcount', 'zrangebylex', 'zrangebyscore', 'zrem'],
  ...['zremrangebyscore', 'zrevrangebyscore', 'zscore'],
];
/** What takes the place of these in a Redis Cluster, and what it needs besides. */
const ON_CLUSTER: Readonly<Record<string, string>> = {
  subscribe: 'ssubscribe',
  unsubscribe: 'sunsubscribe',
  publish: 'spublish',
  'pubsub|numsub': 'pubsub|shardnumsub',
};
const SENT_TO_CLUSTER = ['cluster|info', 'cluster|nodes'];
/** No room has a `*` in its name, and no node. */
const NO_ROOM = '*check';

/** What a server of a cluster can be tried on: one of its partitions, and whether it has what is one for the whole cluster. */
export interface ServedPlaces {
  /** Null: it has none. */
  readonly partition: number | null;
  readonly hasNodes: boolean;
}

/** Everything that a node's Redis user needs, and nothing more, as ACL rules. */
export function neededRights(keys: Keys, database: number, isCluster = false): string[] {
  const usual = [...SENT, ...TRIED, ...(database === 0 ? [] : ['select'])];
  const commands = isCluster
    ? [...usual.map((command) => ON_CLUSTER[command] ?? command), ...SENT_TO_CLUSTER]
    : usual;
  commands.sort();
  return [`~${keys.pattern}`, `&${keys.pattern}`, ...commands.map((command) => `+${command}`)];
}

/** The command that creates such a user, for `redis-cli` or, without its first two words, an ACL file. */
export function aclLine(user: string, keys: Keys, database: number, isCluster = false): string {
  const rights = neededRights(keys, database, isCluster).join(' ');
  return `ACL SETUSER ${user} reset resetchannels on >PASSWORD ${rights}`;
}

/**
 * Everything that stops a node from working, found by trying it. Use a separate connection: it ends up
 * subscribed. Rejects if Redis does not answer.
 */
export async function findObstacles(
  redis: Redis,
  keys: Keys,
  database: number,
  served: ServedPlaces | null = null,
): Promise<Obstacle[]> {
  const target = { redis, isCluster: served !== null };
  const found: Obstacle[] = [];
  const attempt = async (command: string, sending: Promise<unknown>) => {
    const reply = await refusalOf(sending);
    if (reply !== null) found.push(obstacleOf(command, reply, keys));
  };
  await attempt('info', redis.info('server'));
  if (database !== 0) await attempt('select', redis.select(database));
  await attempt('ping', redis.ping());
  await attempt('script|load', checkScript.load(target));
  const run = () => redis.call('evalsha', checkScript.shaOf(target), 0, ...names(keys, served));
  found.push(...withoutMoved(await tryCommands(run, keys), served));
  if (served === null) {
    const channels = [keys.signals(), keys.channel(NO_ROOM)];
    await attempt('subscribe', redis.subscribe(...channels));
    await attempt('unsubscribe', redis.unsubscribe(...channels));
  } else {
    await attempt('cluster|nodes', redis.call('CLUSTER', 'NODES'));
    await attempt('cluster|info', redis.call('CLUSTER', 'INFO'));
    const channel = names(keys, served).at(-1)!;
    await attempt('ssubscribe', redis.ssubscribe(channel));
    await attempt('sunsubscribe', redis.sunsubscribe(channel));
  }
  // If loading is forbidden, that was found already.
  return unique(found).filter((one) => one.kind !== 'other' || !one.reply.startsWith('NOSCRIPT'));
}

/** Like `findObstacles`, for what the scripts need, on a link in use. Rejects if Redis does not answer. */
export async function tryScripts(
  target: ScriptTarget,
  keys: Keys,
  metrics: BackplaneMetrics,
  served: ServedPlaces | null,
): Promise<Obstacle[]> {
  const found = await tryCommands(() => checkScript.call(target, [], names(keys, served), metrics), keys);
  return withoutMoved(found, served);
}

/** Of a slot that moves just now, a server of a cluster refuses everything. */
function withoutMoved(found: Obstacle[], served: ServedPlaces | null): Obstacle[] {
  return served === null
    ? found
    : found.filter((one) => !('reply' in one) || !isNotRun({ message: one.reply }));
}

async function tryCommands(run: () => Promise<unknown>, keys: Keys): Promise<Obstacle[]> {
  try {
    const refused = await run();
    if (!Array.isArray(refused)) throw new Error('unexpected answer to a script');
    return unique(pairs(refused).map(([command, reply]) => obstacleOf(command, reply, keys)));
  } catch (error) {
    const reply = answerOf(error);
    if (reply === null) throw error;
    return [obstacleOf('evalsha', reply, keys)];
  }
}

/**
 * What is wrong and what to do, without a full stop. `redis`: what to call it. `user`: null for the default
 * user.
 */
export function describeObstacles(
  obstacles: readonly Obstacle[],
  user: string | null,
  redis: 'it' | 'redis',
): string {
  const rights = obstacles.flatMap((one) => (one.kind === 'right' ? [one.right] : [])).join(' ');
  const unknown = obstacles.flatMap((one) => (one.kind === 'unknown' ? [shownCommand(one.command)] : []));
  const sentences: string[] = [];
  if (rights !== '') {
    const name = user ?? 'default';
    sentences.push(
      `${redis} does not permit user "${name}" everything that a node needs (deploy/README.md lists it): ACL SETUSER ${name} ${rights}`,
    );
  }
  if (unknown.length > 0) {
    sentences.push(`${redis} does not know ${unknown.join(', ')}: undo the rename-command that hides it`);
  }
  for (const obstacle of obstacles) {
    if (obstacle.kind === 'writes') sentences.push(`${redis} refuses writes: ${obstacle.reply}`);
    if (obstacle.kind === 'database') {
      const advice = 'set another one in redis.url, or raise "databases" in redis.conf';
      sentences.push(`${redis} has no database with the number in redis.url (${obstacle.reply}): ${advice}`);
    }
    if (obstacle.kind === 'other') {
      sentences.push(`${redis} refuses ${shownCommand(obstacle.command)}: ${obstacle.reply}`);
    }
  }
  return sentences.join('; ');
}

/** As people write it: `SCRIPT LOAD`. */
function shownCommand(command: string): string {
  return command.replace('|', ' ').toUpperCase();
}

/** Whether it may pass without a change of rights or configuration. */
export function isPassing({ kind }: Obstacle): boolean {
  return kind === 'writes';
}

function names(keys: Keys, served: ServedPlaces | null): string[] {
  if (served !== null) return namesOn(keys, served);
  const [text, stream] = [keys.meta(NO_ROOM), keys.log(NO_ROOM)];
  const [hash, sorted] = [keys.presence(NO_ROOM), keys.acks(NO_ROOM, '')];
  return [text, stream, hash, sorted, keys.nodeRooms(NO_ROOM), keys.channel(NO_ROOM)];
}

function namesOn(keys: Keys, { partition, hasNodes }: ServedPlaces): string[] {
  if (partition === null) {
    const nodes = keys.nodeRooms(NO_ROOM);
    return [`${nodes}*text`, `${nodes}*stream`, `${nodes}*hash`, `${nodes}*sorted`, nodes, nodes];
  }
  const [text, stream] = [keys.metaHeads[partition]! + NO_ROOM, keys.logHeads[partition]! + NO_ROOM];
  const hash = keys.newestHeads[partition]! + NO_ROOM;
  return [text, stream, hash, `${text}*`, hasNodes ? keys.nodeRooms(NO_ROOM) : `${hash}*`, stream];
}

function obstacleOf(command: string, reply: string, keys: Keys): Obstacle {
  const name = command.toLowerCase();
  if (isRefusedWrite(reply)) return { kind: 'writes', reply: reply.replace(/\.$/, '') };
  if (isUnknownCommand(reply)) return { kind: 'unknown', command: name };
  if (/\bNOPERM\b|ACL failure|user executing the script can't/.test(reply)) {
    // Newer servers name user, key and channel in between, which may be any words.
    if (/ to run the '|can't run this command/.test(reply)) return { kind: 'right', right: `+${name}` };
    if (/\bchannels?\b/.test(reply)) return { kind: 'right', right: `&${keys.pattern}` };
    return { kind: 'right', right: `~${keys.pattern}` };
  }
  if (name === 'select') return { kind: 'database', reply };
  return { kind: 'other', command: name, reply };
}

/** Null if it was done. Rejects if there was no reply. */
async function refusalOf(sending: Promise<unknown>): Promise<string | null> {
  try {
    await sending;
    return null;
  } catch (error) {
    const reply = answerOf(error);
    if (reply === null) throw error;
    return reply;
  }
}

/** The text of an error reply of Redis, null for anything else. */
function answerOf(error: unknown): string | null {
  return error instanceof Error && error.name === 'ReplyError' ? error.message : null;
}

function pairs(list: readonly unknown[]): [string, string][] {
  const found: [string, string][] = [];
  for (let i = 0; i < list.length; i += 2) found.push([String(list[i]), String(list[i + 1])]);
  return found;
}

function unique(obstacles: readonly Obstacle[]): Obstacle[] {
  const seen = new Map(obstacles.map((obstacle) => [identity(obstacle), obstacle] as const));
  return [...seen.values()];
}

function identity(obstacle: Obstacle): string {
  if (obstacle.kind === 'right') return obstacle.right;
  return 'reply' in obstacle ? `${obstacle.kind} ${obstacle.reply}` : obstacle.command;
}
