/**
 * The form of a Redis URL: `redis[s]://[user[:password]@]host[:port][/database]`, and nothing else; or several, of servers of
 * one Redis Cluster, with commas between them.
 */

export interface RedisAddress {
  /** TLS: the URL starts with `rediss:`. */
  readonly isSecure: boolean;
  /** An IPv6 address has no brackets here. */
  readonly host: string;
  readonly port: number;
  /** Decoded; null if the URL has none. */
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
  /** Then host and port mean nothing: the Sentinels say where the primary is. */
  readonly sentinels?: SentinelGroup;
}

/** Sentinels that watch a primary, and by what name they know it. */
export interface SentinelGroup {
  readonly name: string;
  /** All with the same scheme, user and password. */
  readonly addresses: readonly RedisAddress[];
}

export type RedisUrl = { readonly address: RedisAddress } | { readonly problem: string };
export type RedisUrls = { readonly addresses: readonly RedisAddress[] } | { readonly problem: string };

const EXPECTED = 'expected a URL such as redis://localhost:6379 or rediss://user:password@host:6380/0';
const ENCODE = 'percent-encode the characters / ? # % in its user and password, such as %2F for /';
const STANDARD_PORT = 6379;
const SENTINEL_PORT = 26_379;
const HIGHEST_PORT = 65_535;
const HOST = /^([\w.-]+|\[[0-9a-f:.]+\])$/i;
const DATABASE = /^\/(0|[1-9]\d{0,8})?$/;
/** No password contains this: `/` must be percent-encoded there. */
const BETWEEN_URLS = /,(?=rediss?:\/\/)/;

/** Reads a URL, or says what is wrong with it. A problem never repeats the text: it may be a secret. */
export function readRedisUrl(text: string, standardPort = STANDARD_PORT): RedisUrl {
  if (/^(unix:|redis\+(unix|socket):|\/)/.test(text)) {
    return {
      problem: 'Unix sockets are not supported: let Redis listen on a port, and use redis://host:port',
    };
  }
  const rest = /^rediss?:\/\/(\S*)$/.exec(text)?.[1];
  if (rest === undefined) return { problem: EXPECTED };
  const problem = formProblem(rest);
  if (problem !== null) return { problem };
  if (!URL.canParse(text)) return { problem: EXPECTED };
  return readParts(new URL(text), standardPort);
}

/** For a URL that was already checked. Throws if it is wrong anyway. */
export function redisAddress(url: string): RedisAddress {
  const read = readRedisUrl(url);
  if ('problem' in read) throw new Error(`redis.url: ${read.problem}`);
  return read.address;
}

/** One URL, or several with commas between them. */
export function splitRedisUrls(text: string): string[] {
  return text.split(BETWEEN_URLS);
}

/** Reads one URL or several, or says what is wrong with them, again without repeating any of it. */
export function readRedisUrls(text: string, standardPort = STANDARD_PORT): RedisUrls {
  const read = splitRedisUrls(text).map((url) => readRedisUrl(url, standardPort));
  const addresses: RedisAddress[] = [];
  for (const [i, url] of read.entries()) {
    if ('address' in url) addresses.push(url.address);
    else
      return { problem: read.length === 1 ? url.problem : `URL ${i + 1} of ${read.length}: ${url.problem}` };
  }
  const [first, ...others] = addresses as [RedisAddress, ...RedisAddress[]];
  const differing = others.findIndex((other) => loginOf(other) !== loginOf(first));
  if (differing === -1) return { addresses };
  return {
    problem: `URL ${differing + 2} of ${read.length} differs from the first: all servers of a Redis Cluster need the same scheme, user, password and database`,
  };
}

/** The servers that a URL, or a list of them, names. For what was already checked. Throws if it is wrong anyway. */
export function redisAddresses(
  urls: string,
  standardPort = STANDARD_PORT,
): readonly [RedisAddress, ...RedisAddress[]] {
  const read = readRedisUrls(urls, standardPort);
  if ('problem' in read) throw new Error(`redis.url: ${read.problem}`);
  return read.addresses as [RedisAddress, ...RedisAddress[]];
}

/** The primary that Sentinels know by this name, with user, password and database of `address`. Without Sentinels, `address` itself. */
export function bySentinels(
  address: RedisAddress,
  urls: string | null | undefined,
  name: string,
): RedisAddress {
  if (urls === null || urls === undefined) return address;
  return { ...address, sentinels: { name, addresses: redisAddresses(urls, SENTINEL_PORT) } };
}

/** Host and port to show, without credentials; of a primary behind Sentinels its name. */
export function shownAddress({
  host,
  port,
  sentinels,
}: Pick<RedisAddress, 'host' | 'port' | 'sentinels'>): string {
  if (sentinels !== undefined) return `${sentinels.name} (by ${sentinels.addresses.length} Sentinels)`;
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function loginOf({ isSecure, username, password, database }: RedisAddress): string {
  return JSON.stringify([isSecure, username, password, database]);
}

/** What the text alone shows, where a parser would be silent or say less. */
function formProblem(rest: string): string | null {
  const end = rest.search(/[/?#]/);
  if (end !== -1 && rest.includes('@', end)) return `cannot tell user and password from the host: ${ENCODE}`;
  const authority = end === -1 ? rest : rest.slice(0, end);
  const hostAndPort = authority.slice(authority.lastIndexOf('@') + 1);
  if (hostAndPort.replace(/:\d*$/, '') === '') return `has no host: ${EXPECTED}`;
  const port = /:(\d+)$/.exec(hostAndPort.replace(/^\[.*\]/, ''))?.[1];
  if (port !== undefined && (Number(port) < 1 || Number(port) > HIGHEST_PORT)) {
    return `the port must be from 1 to ${HIGHEST_PORT}`;
  }
  if (/[?#]/.test(rest)) {
    return 'options after ? or # are not supported: use the settings, such as redis.keyPrefix and redis.tls';
  }
  return null;
}

function readParts(url: URL, standardPort: number): RedisUrl {
  const [username, password] = [decoded(url.username), decoded(url.password)];
  if (username === null || password === null)
    return { problem: `a % in user or password is not a valid escape: ${ENCODE}` };
  if (!HOST.test(url.hostname)) return { problem: `the host is not valid: ${EXPECTED}` };
  if (!DATABASE.test(url.pathname) && url.pathname !== '') {
    return { problem: 'the database after the host must be a whole number, such as /0' };
  }
  const address = {
    isSecure: url.protocol === 'rediss:',
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? standardPort : Number(url.port),
    username: username === '' ? null : username,
    password: password === '' ? null : password,
    database: Number(url.pathname.slice(1)),
  };
  return { address };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
