/**
 * Checks that no setting can make alone: whether settings fit together, and whether the named files can be
 * read.
 */

import { compilePattern } from '../util/pattern.ts';
import { redisAddresses } from '../util/redis-url.ts';
import { repeatedKeys } from './groups/api-keys.ts';
import type { Settings } from './schema.ts';
import { SETTINGS } from './settings.ts';
import { unreadableReason } from './source.ts';

export interface CheckContext {
  /** Source and key of a setting, as `environment ROOMCAST_PORT`, or `default port`. */
  originOf(path: string): string;
  /** Paths of settings that already failed: their fallback values prove nothing. */
  readonly refused: ReadonlySet<string>;
}

interface Check {
  /** Paths of the settings to compare. The first is the one a problem is reported at. */
  readonly of: readonly [string, ...string[]];
  /** One text per problem, starting with what comes between the setting's name and the colon. */
  find(settings: Settings): string[];
}

/** Settings that name a key to check tokens with. */
const KEYS = ['auth.secret', 'auth.publicKeyFile', 'auth.jwksUrl'];

const CHECKS: readonly Check[] = [
  {
    of: ['tls.certFile', 'tls.keyFile'],
    find: ({ tls }) => bothOrNone(tls.certFile, tls.keyFile, 'tls.keyFile'),
  },
  {
    of: ['tls.keyFile', 'tls.certFile'],
    find: ({ tls }) => bothOrNone(tls.keyFile, tls.certFile, 'tls.certFile'),
  },
  {
    of: ['redis.tls.certFile', 'redis.tls.keyFile'],
    find: ({ redis }) => bothOrNone(redis.tls.certFile, redis.tls.keyFile, 'redis.tls.keyFile'),
  },
  {
    of: ['redis.tls.keyFile', 'redis.tls.certFile'],
    find: ({ redis }) => bothOrNone(redis.tls.keyFile, redis.tls.certFile, 'redis.tls.certFile'),
  },
  {
    of: ['redis.url', 'redis.sentinels', 'redis.tls.caFile', 'redis.tls.certFile', 'redis.tls.keyFile'],
    find: ({ redis: { url, sentinels, tls } }) =>
      (tls.caFile ?? tls.certFile ?? tls.keyFile) !== null &&
      ![url, sentinels].some((urls) => urls?.startsWith('rediss:'))
        ? [
            url === null
              ? ': missing, and redis.tls names a file: set a rediss:// URL, or remove redis.tls for a node without Redis'
              : ': must start with rediss:// when redis.tls names a file, or the link is not encrypted',
          ]
        : [],
  },
  {
    of: ['redis.cluster', 'redis.url'],
    find: ({ redis: { cluster, url } }) =>
      cluster && url === null ? [': needs redis.url, the address of one or more servers of the cluster'] : [],
  },
  {
    of: ['redis.sentinels', 'redis.url', 'redis.cluster'],
    find: ({ redis: { sentinels, url, cluster } }) => {
      if (sentinels === null) return [];
      if (url === null)
        return [': needs redis.url, for the user, password and database of Redis, such as redis://mymaster'];
      return cluster ? [': conflicts with redis.cluster: a Redis Cluster fails over by itself'] : [];
    },
  },
  {
    of: ['redis.url', 'redis.cluster'],
    find: ({ redis: { cluster, url } }) => (url === null ? [] : clusterUrlProblems(url, cluster)),
  },
  {
    of: ['proxyProtocol', 'trustProxy'],
    find: ({ proxyProtocol, trustProxy }) =>
      proxyProtocol && (trustProxy === false || (trustProxy !== true && trustProxy.length === 0))
        ? [': needs trustProxy, the proxies that are believed']
        : [],
  },
  {
    of: ['proxyProtocol', 'tls.certFile'],
    find: ({ proxyProtocol, tls }) =>
      proxyProtocol && tls.certFile !== null
        ? [
            ': conflicts with tls.certFile: its header comes before TLS, where it cannot be read. Let the proxy end TLS',
          ]
        : [],
  },
  {
    of: ['websocket.backpressureBytes', 'websocket.maxPayloadBytes'],
    find: ({ websocket: { backpressureBytes, maxPayloadBytes } }) =>
      atLeast(backpressureBytes, maxPayloadBytes, 'websocket.maxPayloadBytes'),
  },
  {
    of: ['limits.commandBurst', 'limits.commandsPerSecond'],
    find: ({ limits: { commandBurst, commandsPerSecond } }) =>
      atLeast(commandBurst, commandsPerSecond, 'limits.commandsPerSecond'),
  },
  {
    of: ['metaTtlMs', 'history.ageMs', 'history.messages'],
    find: ({ metaTtlMs, history }) =>
      history.messages > 0 ? atLeast(metaTtlMs, history.ageMs, 'history.ageMs') : [],
  },
  { of: ['metaTtlMs', 'rooms', 'history.messages', 'history.ageMs'], find: outlivedBy },
  {
    of: ['metrics.port', 'metrics.host', 'port', 'host'],
    find: ({ metrics, port, host }) =>
      metrics.port === port && port !== 0 && (metrics.host ?? host) === host
        ? [`: must differ from port, both are ${port}`]
        : [],
  },
  {
    of: ['metrics.host', 'metrics.port'],
    find: ({ metrics }) =>
      metrics.host !== null && metrics.port === null ? [': needs metrics.port as well'] : [],
  },
  { of: ['apiKeys'], find: ({ apiKeys }) => repeatedKeys(apiKeys) },
  { of: ['rooms'], find: ({ rooms }) => neverReached(rooms) },
  { of: ['rooms'], find: ({ rooms }) => contradictions(rooms) },
  { of: ['rooms', 'history.messages'], find: needsHistory },
  { of: ['rooms', ...KEYS], find: claimsWithoutKey },
  {
    of: ['tls.passphrase', 'tls.keyFile'],
    find: ({ tls }) =>
      tls.passphrase !== null && tls.keyFile === null
        ? [': needs tls.keyFile, the key that it decrypts']
        : [],
  },
  { of: ['websocket.path', 'production', 'demo'], find: takenPath },
  severalKeys('auth.secret', ['auth.publicKeyFile', 'auth.jwksUrl']),
  severalKeys('auth.publicKeyFile', ['auth.jwksUrl']),
  {
    of: ['auth.jwksUrl'],
    find: ({ auth: { jwksUrl } }) =>
      jwksUrl !== null && new URL(jwksUrl).username + new URL(jwksUrl).password !== ''
        ? [': must not contain a user name or password: they are not sent when keys are fetched']
        : [],
  },
  {
    of: ['auth.oldSecrets', 'auth.secret'],
    find: ({ auth }) =>
      auth.oldSecrets.length > 0 && auth.secret === null
        ? [': needs auth.secret, the secret that new tokens are signed with']
        : [],
  },
  ...['auth.issuer', 'auth.audience', 'auth.algorithms'].map(needsKey),
  {
    of: ['auth.anonymous', ...KEYS],
    find: ({ auth }) =>
      auth.anonymous && !hasKey(auth)
        ? [
            ': has no effect without auth.secret, auth.publicKeyFile or auth.jwksUrl: everyone is anonymous without them',
          ]
        : [],
  },
];

/** All problems between settings, one line each. */
export function crossProblems(settings: Settings, { originOf, refused }: CheckContext): string[] {
  return CHECKS.filter(({ of }) => of.every((path) => !refused.has(path))).flatMap(({ of, find }) =>
    find(settings).map((problem) => originOf(of[0]) + problem),
  );
}

/** One line for each named file that cannot be read. `valueAt` returns a setting's value by path. */
export function fileProblems(valueAt: (path: string) => unknown, { originOf }: CheckContext): string[] {
  return SETTINGS.flatMap(({ path, readable }) => {
    const file = readable === true ? valueAt(path) : null;
    if (typeof file !== 'string') return [];
    const reason = unreadableReason(file);
    return reason === null ? [] : [`${originOf(path)}: cannot read ${file}: ${reason}`];
  });
}

function bothOrNone(one: string | null, other: string | null, otherPath: string): string[] {
  return one !== null && other === null ? [`: needs ${otherPath} as well`] : [];
}

function atLeast(value: number, least: number, leastPath: string): string[] {
  return value < least ? [`: must be at least ${leastPath} (${least}), got ${value}`] : [];
}

/** A room's numbering must outlive its messages: else offsets restart while old ones are still stored. */
function outlivedBy({ metaTtlMs, rooms, history: standard }: Settings): string[] {
  return rooms.flatMap(({ match, history }, at) => {
    if (history === undefined || history === false) return [];
    const ageMs = (history.messages ?? standard.messages) > 0 ? (history.ageMs ?? standard.ageMs) : 0;
    return atLeast(metaTtlMs, ageMs, `rooms[${at}].history.ageMs of "${match}"`);
  });
}

/** What a rule asks for that needs stored messages. */
function needsHistory({ rooms, history: standard }: Settings): string[] {
  return rooms.flatMap(({ match, acks, history, slowReaders }, at) => {
    const messages = history === false ? 0 : (history?.messages ?? standard.messages);
    if (messages > 0) return [];
    return [
      ...(acks === true ? [`[${at}].acks: "${match}" keeps no history, and acks need one`] : []),
      ...(slowReaders === 'latest'
        ? [
            `[${at}].slowReaders: "${match}" keeps no history, so there is no newest message to skip to: set history: {messages: 1} to keep only that`,
          ]
        : []),
    ];
  });
}

/** Pairs of fields in one rule where one makes the other useless. */
function contradictions(rooms: Settings['rooms']): string[] {
  return rooms.flatMap(({ match, presence, memberEvents, join, publish, access }, at) => [
    ...(memberEvents === true && presence === false
      ? [
          `[${at}].memberEvents: "${match}" has presence: false, so members cannot be told who joins and leaves`,
        ]
      : []),
    ...(publish === 'members' && (join === 'nobody' || join === 'server')
      ? [`[${at}].publish: "${match}" has join: ${join}, so there are no members to publish`]
      : []),
    ...(presence === false && access?.members !== undefined
      ? [`[${at}].access.members: "${match}" has presence: false, so there is no list of members`]
      : []),
  ]);
}

/** Without a key no token is read, and so no claim. */
function claimsWithoutKey({ rooms, auth }: Settings): string[] {
  if (hasKey(auth)) return [];
  return rooms.flatMap(({ match, join, publish, access }, at) =>
    Object.entries({ join, publish, ...access })
      .filter(([, who]) => who === 'claim')
      .map(
        ([right]) =>
          `[${at}]: "${match}" has ${right}: claim, which needs auth.secret, auth.publicKeyFile or auth.jwksUrl: no token is read without them`,
      ),
  );
}

/** Paths of the HTTP routes. A test compares them with the routes. */
const HTTP_PATHS: readonly string[] = [
  ...['/healthz', '/readyz', '/metrics'],
  ...['/client.js', '/client-json.js', '/client-sse.js', '/chat.js', '/chat.css'],
];

/** A WebSocket endpoint on the path of an HTTP route would hide the route, or be hidden by it. */
function clusterUrlProblems(url: string, isCluster: boolean): string[] {
  const addresses = redisAddresses(url);
  if (!isCluster && addresses.length > 1) {
    return [
      `: names ${addresses.length} servers, which only a Redis Cluster has, and redis.cluster is false: remove that setting, or name one server`,
    ];
  }
  const database = addresses[0]?.database ?? 0;
  if (!isCluster || database === 0) return [];
  return [`: names database ${database}, but a Redis Cluster has only database 0: remove it from the URL`];
}

function takenPath({ websocket: { path }, production, demo }: Settings): string[] {
  const isTaken = HTTP_PATHS.includes(path) || path === '/v1' || path.startsWith('/v1/');
  if (isTaken) return [`: ${path} is an HTTP route of the node: use another path, such as /ws`];
  const servesDemo = demo ?? !production;
  return path === '/' && servesDemo
    ? [': / serves the demo page: use another path, such as /ws, or set demo to false']
    : [];
}

/** A node checks tokens with one key source: it cannot tell which source a token was signed for. */
function severalKeys(path: string, others: readonly [string, ...string[]]): Check {
  const isGiven = ({ auth }: Settings, of: string) => auth[of.slice('auth.'.length) as 'secret'] !== null;
  return {
    of: [path, ...others],
    find: (settings) =>
      isGiven(settings, path)
        ? others
            .filter((other) => isGiven(settings, other))
            .map((other) => `: conflicts with ${other}: remove one of them`)
        : [],
  };
}

function neverReached(rooms: Settings['rooms']): string[] {
  return rooms.flatMap(({ match }, at) => {
    // Only an asterisk matches an asterisk in a pattern: if that matches, the earlier pattern covers every
    // name of this one.
    const before = rooms.slice(0, at).findIndex((earlier) => compilePattern(earlier.match)(match));
    if (before === -1) return [];
    if (rooms[before]!.match === match) return [`[${at}].match: "${match}" repeats rooms[${before}]`];
    return [
      `[${at}].match: "${match}" is never reached: rooms[${before}] "${rooms[before]!.match}" comes first`,
    ];
  });
}

/**
 * A token rule without a key to check tokens with would admit everyone, which is not what the operator wants.
 */
function needsKey(path: string): Check {
  const name = path.slice('auth.'.length) as 'issuer' | 'audience' | 'algorithms';
  return {
    of: [path, ...KEYS],
    find: ({ auth }) => {
      const given = auth[name] !== null && auth[name].length > 0;
      return given && !hasKey(auth)
        ? [': needs auth.secret, auth.publicKeyFile or auth.jwksUrl, or everyone is admitted']
        : [];
    },
  };
}

function hasKey({ secret, publicKeyFile, jwksUrl }: Settings['auth']): boolean {
  return (secret ?? publicKeyFile ?? jwksUrl) !== null;
}
