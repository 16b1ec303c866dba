/** What no setting can know by itself: whether settings fit each other, and whether the files they name are there. */

import { compilePattern } from '../util/pattern.ts';
import type { Settings } from './schema.ts';
import { SETTINGS } from './settings.ts';
import { unreadableReason } from './source.ts';

export interface CheckContext {
  /** Source and key of a setting, as `environment ROOMCAST_PORT`, or `default port`. */
  originOf(path: string): string;
  /** Settings that were refused already: what stands in for them proves nothing. */
  readonly refused: ReadonlySet<string>;
}

interface Check {
  /** Paths of the settings that it compares. The first is the one that a problem is reported at. */
  readonly of: readonly [string, ...string[]];
  /** What is wrong, one text a problem. Begins with what stands between the setting's name and the colon. */
  find(settings: Settings): string[];
}

/** What tokens are checked by. */
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
    of: ['redis.url', 'redis.tls.caFile', 'redis.tls.certFile', 'redis.tls.keyFile'],
    find: ({ redis: { url, tls } }) =>
      (tls.caFile ?? tls.certFile ?? tls.keyFile) !== null && !url?.startsWith('rediss:')
        ? [': must begin with rediss:// where redis.tls names a file, or the link would not be encrypted']
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
  { of: ['rooms'], find: ({ rooms }) => neverReached(rooms) },
  { of: ['rooms'], find: ({ rooms }) => contradictions(rooms) },
  { of: ['rooms', 'history.messages'], find: needsHistory },
  {
    of: ['tls.passphrase', 'tls.keyFile'],
    find: ({ tls }) =>
      tls.passphrase !== null && tls.keyFile === null
        ? [': needs tls.keyFile, whose passphrase it would be']
        : [],
  },
  { of: ['websocket.path', 'production', 'demo'], find: takenPath },
  severalKeys('auth.secret', ['auth.publicKeyFile', 'auth.jwksUrl']),
  severalKeys('auth.publicKeyFile', ['auth.jwksUrl']),
  {
    of: ['auth.jwksUrl'],
    find: ({ auth: { jwksUrl } }) =>
      jwksUrl !== null && new URL(jwksUrl).username + new URL(jwksUrl).password !== ''
        ? [': must not hold a user name or a password, which are not sent when the keys are fetched']
        : [],
  },
  ...['auth.issuer', 'auth.audience', 'auth.algorithms'].map(needsKey),
  {
    of: ['auth.anonymous', ...KEYS],
    find: ({ auth }) =>
      auth.anonymous && !hasKey(auth)
        ? [': has no effect without auth.secret, auth.publicKeyFile or auth.jwksUrl: everyone is anonymous']
        : [],
  },
];

/** All problems between settings, a line each. */
export function crossProblems(settings: Settings, { originOf, refused }: CheckContext): string[] {
  return CHECKS.filter(({ of }) => of.every((path) => !refused.has(path))).flatMap(({ of, find }) =>
    find(settings).map((problem) => originOf(of[0]) + problem),
  );
}

/** A line for each named file that cannot be read. `valueAt` gives a setting's value by path. */
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

/** A room's numbering must not end before its messages do: offsets would begin anew beside the old ones. */
function outlivedBy({ metaTtlMs, rooms, history: standard }: Settings): string[] {
  return rooms.flatMap(({ match, history }, at) => {
    if (history === undefined || history === false) return [];
    const ageMs = (history.messages ?? standard.messages) > 0 ? (history.ageMs ?? standard.ageMs) : 0;
    return atLeast(metaTtlMs, ageMs, `the ageMs of rooms[${at}] "${match}"`);
  });
}

/** What a rule asks for that only messages that are kept can give. */
function needsHistory({ rooms, history: standard }: Settings): string[] {
  return rooms.flatMap(({ match, acks, history, slowReaders }, at) => {
    const messages = history === false ? 0 : (history?.messages ?? standard.messages);
    if (messages > 0) return [];
    return [
      ...(acks === true ? [`[${at}].acks: "${match}" keeps no history to acknowledge`] : []),
      ...(slowReaders === 'latest'
        ? [
            `[${at}].slowReaders: "${match}" keeps no history, so there is no newest message to skip to; where only that matters, set history: {messages: 1}`,
          ]
        : []),
    ];
  });
}

/** Members of one rule of which one leaves the other without effect. */
function contradictions(rooms: Settings['rooms']): string[] {
  return rooms.flatMap(({ match, presence, memberEvents, join, publish }, at) => [
    ...(memberEvents === true && presence === false
      ? [`[${at}].memberEvents: "${match}" has presence: false, so nobody knows who joins and leaves`]
      : []),
    ...(publish === 'members' && join === 'nobody'
      ? [`[${at}].publish: "${match}" has join: nobody, so there are no members who could publish`]
      : []),
  ]);
}

/** Paths of the HTTP routes. A test compares them with the routes. */
const HTTP_PATHS: readonly string[] = ['/healthz', '/readyz', '/metrics'];

/** A WebSocket endpoint at the path of an HTTP route would hide it, or be hidden by it. */
function takenPath({ websocket: { path }, production, demo }: Settings): string[] {
  const isTaken = HTTP_PATHS.includes(path) || path === '/v1' || path.startsWith('/v1/');
  if (isTaken) return [`: ${path} belongs to the HTTP routes of the node, take another such as /ws`];
  const servesDemo = demo ?? !production;
  return path === '/' && servesDemo
    ? [': / belongs to the demo page, take another such as /ws, or set demo to false']
    : [];
}

/** A node checks tokens in one way: it could not tell which one a token was made for. */
function severalKeys(path: string, others: readonly [string, ...string[]]): Check {
  const isGiven = ({ auth }: Settings, of: string) => auth[of.slice('auth.'.length) as 'secret'] !== null;
  return {
    of: [path, ...others],
    find: (settings) =>
      isGiven(settings, path)
        ? others
            .filter((other) => isGiven(settings, other))
            .map((other) => `: set together with ${other}, one of them has to go`)
        : [],
  };
}

function neverReached(rooms: Settings['rooms']): string[] {
  return rooms.flatMap(({ match }, at) => {
    // An asterisk in a pattern is matched by nothing but an asterisk of the other: then it covers all of its names.
    const before = rooms.slice(0, at).findIndex((earlier) => compilePattern(earlier.match)(match));
    if (before === -1) return [];
    if (rooms[before]!.match === match) return [`[${at}].match: "${match}" repeats rooms[${before}]`];
    return [
      `[${at}].match: "${match}" is never reached, rooms[${before}] "${rooms[before]!.match}" comes first`,
    ];
  });
}

/** A rule for tokens without a key to check them by: everyone would be let in, which is not what was meant. */
function needsKey(path: string): Check {
  const name = path.slice('auth.'.length) as 'issuer' | 'audience' | 'algorithms';
  return {
    of: [path, ...KEYS],
    find: ({ auth }) => {
      const given = auth[name] !== null && auth[name].length > 0;
      return given && !hasKey(auth)
        ? [': needs auth.secret, auth.publicKeyFile or auth.jwksUrl, or everyone would be let in']
        : [];
    },
  };
}

function hasKey({ secret, publicKeyFile, jwksUrl }: Settings['auth']): boolean {
  return (secret ?? publicKeyFile ?? jwksUrl) !== null;
}
