/**
 * The commands of Redis that nodes and their scripts use, with the options that they use, as Redis 7 carries them out. Anything
 * else is a mistake in the model or a new use, and throws.
 */
import { Hash, type Keyspace, SortedSet } from './keyspace.ts';
import { OK, Refusal, type Reply } from './reply.ts';
import { idText, parseId, Stream, type StreamEntry } from './stream.ts';

/** What a command works on. */
export interface Ground {
  readonly keys: Keyspace;
  /** Redis's own clock: microseconds since the Unix epoch. */
  readonly nowMicros: number;
  /** Sends to the subscribers of a channel, and says how many there are. */
  publish(channel: string, payload: string): number;
  subscribers(channel: string): number;
  /** The same for sharded channels. */
  shardPublish(channel: string, payload: string): number;
  shardSubscribers(channel: string): number;
  /** Something is written. */
  wrote(): void;
}

type Run = (ground: Ground, args: readonly string[]) => Reply;

interface Command {
  readonly run: Run;
  readonly writes: boolean;
  /** A full Redis refuses it. */
  readonly needsMemory: boolean;
}

const nowMs = ({ nowMicros }: Ground): number => Math.floor(nowMicros / 1000);

function whole(text: string | undefined): number {
  const number = Number(text);
  if (text === undefined || text === '' || !Number.isInteger(number)) {
    throw new Refusal('ERR value is not an integer or out of range');
  }
  return number;
}

/** The argument at a place that every call has. */
function at(args: readonly string[], place: number): string {
  const arg = args[place];
  if (arg === undefined) throw new Refusal('ERR wrong number of arguments');
  return arg;
}

/** Removes a hash or a sorted set that has nothing left. */
function dropEmpty(ground: Ground, key: string): void {
  const value = ground.keys.entry(key, nowMs(ground))?.value;
  const isEmpty =
    (value instanceof Hash && value.fields.size === 0) ||
    (value instanceof SortedSet && value.scores.size === 0);
  if (isEmpty) ground.keys.delete(key);
}

// ---- strings and keys --------------------------------------------------------------------------------------

function set(ground: Ground, [key = '', value = '', ...options]: readonly string[]): Reply {
  let [isNew, asks, keeps, life] = [false, false, false, null as number | null];
  for (let i = 0; i < options.length; i++) {
    const option = options[i]?.toUpperCase();
    if (option === 'NX') isNew = true;
    else if (option === 'GET') asks = true;
    else if (option === 'KEEPTTL') keeps = true;
    else if (option === 'PX') life = whole(options[++i]);
    else throw new Refusal('ERR syntax error');
  }
  if (life !== null && life <= 0) throw new Refusal("ERR invalid expire time in 'set' command");
  const { keys } = ground;
  const before = asks ? keys.text(key, nowMs(ground)) : undefined;
  const known = keys.entry(key, nowMs(ground));
  if (isNew && known !== undefined) return asks ? (before ?? null) : null;
  const endsAtMs = life !== null ? nowMs(ground) + life : keeps ? (known?.endsAtMs ?? null) : null;
  keys.set(key, value, endsAtMs);
  return asks ? (before ?? null) : OK;
}

function setRange(ground: Ground, args: readonly string[]): Reply {
  const [key, from, value] = [at(args, 0), whole(args[1]), at(args, 2)];
  const before = ground.keys.text(key, nowMs(ground)) ?? '';
  if (value === '') return before.length;
  const after = before.padEnd(from, '\0').slice(0, from) + value + before.slice(from + value.length);
  ground.keys.set(key, after, ground.keys.entry(key, nowMs(ground))?.endsAtMs ?? null);
  return after.length;
}

function remainingMs(ground: Ground, args: readonly string[]): Reply {
  const entry = ground.keys.entry(at(args, 0), nowMs(ground));
  if (entry === undefined) return -2;
  return entry.endsAtMs === null ? -1 : entry.endsAtMs - nowMs(ground);
}

function expire(ground: Ground, args: readonly string[]): Reply {
  const entry = ground.keys.entry(at(args, 0), nowMs(ground));
  if (entry === undefined) return 0;
  entry.endsAtMs = nowMs(ground) + whole(args[1]);
  return 1;
}

function remove(ground: Ground, names: readonly string[]): Reply {
  const there = names.filter((key) => ground.keys.entry(key, nowMs(ground)) !== undefined);
  for (const key of there) ground.keys.delete(key);
  return there.length;
}

function memoryUsage(ground: Ground, args: readonly string[]): Reply {
  const value = ground.keys.entry(at(args, 1), nowMs(ground))?.value;
  if (value === undefined) return null;
  return value instanceof Stream ? value.bytes : 100;
}

// ---- hashes ------------------------------------------------------------------------------------------------

function hashSet(ground: Ground, [key = '', ...pairs]: readonly string[]): Reply {
  const hash = ground.keys.hash(key, nowMs(ground), true);
  let added = 0;
  for (let i = 0; i < pairs.length; i += 2) if (hash.set(at(pairs, i), at(pairs, i + 1))) added++;
  return added;
}

function hashSetNew(ground: Ground, args: readonly string[]): Reply {
  const hash = ground.keys.hash(at(args, 0), nowMs(ground), true);
  if (hash.fields.has(at(args, 1))) return 0;
  hash.set(at(args, 1), at(args, 2));
  return 1;
}

function hashIncrease(ground: Ground, args: readonly string[]): Reply {
  const by = whole(args[2]);
  const hash = ground.keys.hash(at(args, 0), nowMs(ground), true);
  const value = whole(hash.fields.get(at(args, 1))?.value ?? '0') + by;
  hash.set(at(args, 1), String(value));
  return value;
}

function hashRemove(ground: Ground, [key = '', ...names]: readonly string[]): Reply {
  const hash = ground.keys.hash(key, nowMs(ground));
  const removed = names.filter((name) => hash?.fields.delete(name)).length;
  dropEmpty(ground, key);
  return removed;
}

const SMALL_FIELDS = 128;
const SMALL_BYTES = 64;

/** A small hash comes at once. Of a large one, a page in the order of the fields' places. */
function hashScan(ground: Ground, args: readonly string[]): Reply {
  const hash = ground.keys.hash(at(args, 0), nowMs(ground));
  const fields = [...(hash?.fields ?? [])];
  const isLong = ([field, { value }]: (typeof fields)[0]) =>
    field.length > SMALL_BYTES || value.length > SMALL_BYTES;
  const isSmall = fields.length <= SMALL_FIELDS && !fields.some(isLong);
  const from = whole(args[1]);
  const asked = args[2]?.toUpperCase() === 'COUNT' ? whole(args[3]) : 10;
  const page = isSmall ? fields : fields.filter(([, { place }]) => place > from).slice(0, asked);
  const last = page.at(-1)?.[1].place ?? 0;
  const isWhole = isSmall || fields.at(-1) === undefined || last === 0 || last === fields.at(-1)?.[1].place;
  return [isWhole ? '0' : String(last), page.flatMap(([field, { value }]) => [field, value])];
}

// ---- sorted sets -------------------------------------------------------------------------------------------

function sortedAdd(ground: Ground, [key = '', ...args]: readonly string[]): Reply {
  const options = args.slice(0, -2).map((option) => option.toUpperCase());
  const [score, member] = [Number(args.at(-2)), args.at(-1) ?? ''];
  if (Number.isNaN(score)) throw new Refusal('ERR value is not a valid float');
  const set = ground.keys.sorted(key, nowMs(ground), true);
  const before = set.scores.get(member);
  const isRefused =
    (options.includes('NX') && before !== undefined) ||
    (options.includes('GT') && before !== undefined && score <= before);
  if (!isRefused) set.set(member, score);
  const isChanged = !isRefused && before !== score;
  return (options.includes('CH') ? isChanged : before === undefined) ? 1 : 0;
}

function bound(text: string): { score: number; isOpen: boolean } {
  const isOpen = text.startsWith('(');
  const shown = isOpen ? text.slice(1) : text;
  const score =
    shown === '+inf' ? Number.POSITIVE_INFINITY : shown === '-inf' ? Number.NEGATIVE_INFINITY : Number(shown);
  if (Number.isNaN(score)) throw new Refusal('ERR min or max is not a float');
  return { score, isOpen };
}

function byScore(ground: Ground, key: string, least: string, most: string): readonly [string, number][] {
  const [from, to] = [bound(least), bound(most)];
  const set = ground.keys.sorted(key, nowMs(ground));
  return (set?.sorted ?? []).filter(
    ([, score]) =>
      (from.isOpen ? score > from.score : score >= from.score) &&
      (to.isOpen ? score < to.score : score <= to.score),
  );
}

function scored(found: readonly [string, number][], options: readonly string[]): Reply {
  const names = options.map((option) => option.toUpperCase());
  const limit = names.indexOf('LIMIT');
  const from = limit === -1 ? 0 : whole(options[limit + 1]);
  const listed = limit === -1 ? found : found.slice(from, from + whole(options[limit + 2]));
  if (!names.includes('WITHSCORES')) return listed.map(([member]) => member);
  return listed.flatMap(([member, score]) => [member, String(score)]);
}

function byName(ground: Ground, args: readonly string[]): Reply {
  const [least, most] = [at(args, 1), at(args, 2)];
  const isAfter = (member: string) =>
    least === '-' || (least.startsWith('(') ? member > least.slice(1) : member >= least.slice(1));
  const isBefore = (member: string) =>
    most === '+' || (most.startsWith('(') ? member < most.slice(1) : member <= most.slice(1));
  const set = ground.keys.sorted(at(args, 0), nowMs(ground));
  return scored(
    (set?.sorted ?? []).filter(([member]) => isAfter(member) && isBefore(member)),
    args.slice(3),
  );
}

function sortedRemove(ground: Ground, [key = '', ...members]: readonly string[]): Reply {
  const set = ground.keys.sorted(key, nowMs(ground));
  const removed = members.filter((member) => set?.delete(member)).length;
  dropEmpty(ground, key);
  return removed;
}

// ---- streams -----------------------------------------------------------------------------------------------

function streamAdd(ground: Ground, [key = '', ...args]: readonly string[]): Reply {
  const trims = /^(MAXLEN|MINID)$/i.test(at(args, 0));
  if (trims && args[1] !== '~') throw new Error('XADD: only trims with ~');
  const [id = '', ...fields] = trims ? args.slice(3) : args;
  const stream = ground.keys.stream(key, nowMs(ground), true);
  const given = id === '*' ? { first: nowMs(ground), second: '0' } : parseId(id, 'least');
  stream.add(given, fields);
  if (trims) {
    const most = whole(args[2]);
    const isByCount = at(args, 0).toUpperCase() === 'MAXLEN';
    const { length } = stream.entries;
    stream.trim((entry, place) => (isByCount ? length - place - 1 >= most : entry.id.first < most));
  }
  return idText(given);
}

function streamRange(ground: Ground, args: readonly string[], back: boolean): Reply {
  const [least, most] = back ? [at(args, 2), at(args, 1)] : [at(args, 1), at(args, 2)];
  const count = args[3]?.toUpperCase() === 'COUNT' ? whole(args[4]) : Number.POSITIVE_INFINITY;
  const stream = ground.keys.stream(at(args, 0), nowMs(ground));
  const found = stream?.range(parseId(least, 'least'), parseId(most, 'most'), count, back) ?? [];
  return found.map(({ id, fields }: StreamEntry) => [idText(id), [...fields]]);
}

// ---- the table ---------------------------------------------------------------------------------------------

const field = (ground: Ground, key: string, name: string) =>
  ground.keys.hash(key, nowMs(ground))?.fields.get(name)?.value ?? null;

const READS: Readonly<Record<string, Run>> = {
  get: (ground, args) => ground.keys.text(at(args, 0), nowMs(ground)) ?? null,
  exists: (ground, args) => args.filter((key) => ground.keys.entry(key, nowMs(ground)) !== undefined).length,
  pttl: remainingMs,
  time: ({ nowMicros }) => [String(Math.floor(nowMicros / 1e6)), String(Math.floor(nowMicros % 1e6))],
  memory: memoryUsage,
  hget: (ground, args) => field(ground, at(args, 0), at(args, 1)),
  hmget: (ground, [key = '', ...names]) => names.map((name) => field(ground, key, name)),
  hgetall: (ground, args) =>
    [...(ground.keys.hash(at(args, 0), nowMs(ground))?.fields ?? [])].flatMap(([name, { value }]) => [
      name,
      value,
    ]),
  hlen: (ground, args) => ground.keys.hash(at(args, 0), nowMs(ground))?.fields.size ?? 0,
  hscan: hashScan,
  zscore: (ground, args) => {
    const score = ground.keys.sorted(at(args, 0), nowMs(ground))?.scores.get(at(args, 1));
    return score === undefined ? null : String(score);
  },
  zcount: (ground, args) => byScore(ground, at(args, 0), at(args, 1), at(args, 2)).length,
  zrangebyscore: (ground, args) =>
    scored(byScore(ground, at(args, 0), at(args, 1), at(args, 2)), args.slice(3)),
  zrevrangebyscore: (ground, args) =>
    scored([...byScore(ground, at(args, 0), at(args, 2), at(args, 1))].reverse(), args.slice(3)),
  zrangebylex: byName,
  xrange: (ground, args) => streamRange(ground, args, false),
  xrevrange: (ground, args) => streamRange(ground, args, true),
  xlen: (ground, args) => ground.keys.stream(at(args, 0), nowMs(ground))?.entries.length ?? 0,
  pubsub: (ground, args) => {
    const isSharded = at(args, 0).toUpperCase() === 'SHARDNUMSUB';
    const count = (channel: string) =>
      isSharded ? ground.shardSubscribers(channel) : ground.subscribers(channel);
    return args.slice(1).flatMap((channel) => [channel, count(channel)]);
  },
  publish: (ground, args) => ground.publish(at(args, 0), at(args, 1)),
  spublish: (ground, args) => ground.shardPublish(at(args, 0), at(args, 1)),
};

/** Writes that never need memory. */
const REMOVALS: Readonly<Record<string, Run>> = {
  del: remove,
  pexpire: expire,
  hdel: hashRemove,
  zrem: sortedRemove,
  zremrangebyscore: (ground, args) =>
    sortedRemove(ground, [
      at(args, 0),
      ...byScore(ground, at(args, 0), at(args, 1), at(args, 2)).map(([member]) => member),
    ]),
};

const WRITES: Readonly<Record<string, Run>> = {
  set,
  setrange: setRange,
  hset: hashSet,
  hsetnx: hashSetNew,
  hincrby: hashIncrease,
  zadd: sortedAdd,
  xadd: streamAdd,
};

function table(
  runs: Readonly<Record<string, Run>>,
  writes: boolean,
  needsMemory: boolean,
): [string, Command][] {
  return Object.entries(runs).map(([name, run]) => [name, { run, writes, needsMemory }]);
}

/** By name, in lower case. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ...table(READS, false, false),
  ...table(REMOVALS, true, false),
  ...table(WRITES, true, true),
]);
