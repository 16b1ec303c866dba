/** Every setting of a node: its default beside its reason, its bounds and what it means. The only such place. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { readRedisUrl } from '../util/redis-url.ts';
import {
  derivedYesNo,
  listOf,
  matching,
  oneOf,
  optionalJudged,
  optionalText,
  optionalUrl,
  optionalWhole,
  text,
  whole,
  yesNo,
  yesNoOrList,
} from './fields.ts';
import { DAY_MS, HISTORY_AGE_MAX_MS, HISTORY_MESSAGES_MAX, ruleSchema } from './rule-schema.ts';

const MINUTE_MS = 60_000;
const MIB = 1_048_576;

const FILE_PATH = { pattern: /./, expected: 'the path of a file' };
// ASCII: HTTP libraries differ in how they send anything else in a header, and uWebSockets.js drops it at the ends.
const API_KEY = /^[!-+\--~]+$/;
const KEY_EXPECTED = 'a key of printable ASCII without spaces and commas';
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/(\*\.)?[^\s/*,]+$/i;

// Signature algorithms by name, so that `none` can never be one of them.
const ALGORITHMS = /^((HS|RS|PS)(256|384|512)|ES(256|384|512)|EdDSA|Ed25519)$/;

const PROXIES = 'true, false, or a list of addresses and networks such as 10.0.0.0/8, fd00::/8 or loopback';
const PROXIES_ERROR = `expected ${PROXIES}`;

/** An IP address, a network as `10.0.0.0/8`, or `loopback`. */
function isNetwork(text: string): boolean {
  if (text === 'loopback') return true;
  const [address, prefix, ...rest] = text.split('/') as [string, string?, ...string[]];
  const version = isIP(address);
  if (version === 0 || address.includes('%') || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}

const tls = z.strictObject({
  certFile: optionalText({
    ...FILE_PATH,
    readable: true,
    meaning: 'PEM certificate chain; with `tls.keyFile`, the node speaks TLS itself',
  }),
  keyFile: optionalText({ ...FILE_PATH, readable: true, meaning: 'PEM private key' }),
  passphrase: optionalText({
    pattern: /./,
    expected: 'a passphrase',
    secret: true,
    meaning: 'Passphrase of the private key',
  }),
});

const redisTls = z.strictObject({
  caFile: optionalText({
    ...FILE_PATH,
    readable: true,
    meaning: "PEM certificates that a `rediss://` server is checked against, in place of the system's",
  }),
  certFile: optionalText({ ...FILE_PATH, readable: true, meaning: 'PEM client certificate for Redis' }),
  keyFile: optionalText({
    ...FILE_PATH,
    readable: true,
    meaning: 'PEM private key of the client certificate',
  }),
  rejectUnauthorized: yesNo({
    standard: true,
    meaning: 'Refuse a Redis whose certificate does not check out',
  }),
});

function redisUrlProblem(text: string): string | null {
  const read = readRedisUrl(text);
  return 'problem' in read ? read.problem : null;
}

const redis = z.strictObject({
  // Null: the memory backplane, a whole broker in one process, so that nothing else is needed to try it.
  url: optionalJudged({
    problemOf: redisUrlProblem,
    expected: 'a URL such as redis://localhost:6379 or rediss://user:password@host:6380/0',
    flag: '--redis <url>',
    alias: 'REDIS_URL',
    secret: true,
    meaning: 'Redis that joins the nodes; without it one node is the whole broker, in memory',
  }),
  // No braces: they would take the place of the hash tag that keeps a room's keys together.
  keyPrefix: text({
    standard: 'rc',
    pattern: /^[\w.:-]{1,64}$/,
    expected: '1 to 64 letters, digits or any of _ . : -',
    meaning: 'First part of every key and channel; clusters that share a Redis need different ones',
  }),
  // Long enough for a Redis that starts together with the node, short enough for an orchestrator to notice.
  startupTimeoutMs: whole({
    min: 0,
    max: 10 * MINUTE_MS,
    standard: 10_000,
    meaning: 'Milliseconds for which an unreachable Redis is tried again at start',
  }),
  // A publisher should hear `unavailable` or `timeout` before its own patience ends.
  commandTimeoutMs: whole({
    min: 50,
    max: MINUTE_MS,
    standard: 1500,
    meaning: 'Milliseconds after which a command to Redis has failed',
  }),
  // Many more than the masters of any sensible cluster, few enough that rooms under load share a batch.
  partitions: whole({
    min: 1,
    max: 16_384,
    standard: 128,
    meaning: 'Buckets that rooms are hashed to; must be the same on every node of a cluster',
  }),
  tls: redisTls,
});

const websocket = z.strictObject({
  path: text({
    standard: '/ws',
    pattern: /^\/[\w.~/-]*$/,
    expected: 'a path such as /ws',
    meaning: 'Path of the WebSocket endpoint; not one of an HTTP route',
  }),
  // Chat and game state fit many times over; larger things belong in an object store.
  maxPayloadBytes: whole({
    min: 1024,
    max: 16 * MIB,
    standard: 65_536,
    meaning:
      'Bytes in one WebSocket message from a client; a larger one closes it (1009, and 1006 where it is larger by more than 4096)',
  }),
  // What a stuck reader may cost in this process; the kernel holds up to 4 MB more.
  backpressureBytes: whole({
    min: 1024,
    max: 1024 * MIB,
    standard: MIB,
    meaning: 'Bytes that may wait for one client to read before it is taken off live delivery',
  }),
  // A node that has no files left cannot accept, log or reach Redis again: it stays below.
  maxConnections: whole({
    min: 0,
    max: 10_000_000,
    standard: 0,
    meaning:
      'Connections that the node holds at most; `0`: as many as the limit on open files (`ulimit -n`) allows, less 64 for the node itself and a tenth, 16 to 1000, for HTTP. A higher number is lowered to that',
  }),
  // They cost an outsider nothing, and wait for a second or so when they are honest.
  maxUnauthenticated: whole({
    min: 0,
    max: 10_000_000,
    standard: 0,
    meaning:
      'Connections that have yet to present a token, where one is asked for, at most at a time; `0`: a tenth of all, at least 100',
  }),
  authTimeoutMs: whole({
    min: 100,
    max: 10 * MINUTE_MS,
    standard: 5000,
    meaning: 'Milliseconds within which a connection without a token sends its `auth` frame',
  }),
});

const heartbeat = z.strictObject({
  // Below half of the minute after which proxies and load balancers commonly cut an idle connection.
  intervalMs: whole({
    min: 1000,
    max: 5 * MINUTE_MS,
    standard: 25_000,
    meaning: 'Milliseconds between WebSocket pings; a connection silent for two of them is closed (4010)',
  }),
});

const limits = z.strictObject({
  roomsPerConnection: whole({
    min: 1,
    max: 100_000,
    standard: 100,
    meaning: 'Rooms that one connection may be in',
  }),
  // Far above any person, and well below what one connection could use to starve the others.
  commandsPerSecond: whole({
    min: 0,
    max: 10_000_000,
    standard: 1000,
    meaning: 'Commands a second that one connection may send for long; `0`: no limit',
  }),
  // Joining many rooms after a reconnect comes all at once.
  commandBurst: whole({
    min: 0,
    max: 100_000_000,
    standard: 5000,
    meaning:
      'Commands that one connection may send at once after a pause; in one turn of the event loop it may send this many or 10,000, whichever is more',
  }),
  // A thousand commands a second of 2 KiB each; what a turn may bring in at once stays below 100 ms of work.
  bytesPerSecond: whole({
    min: 0,
    max: 10_000_000_000,
    standard: 2 * MIB,
    meaning: 'Bytes a second that one connection may send for long; `0`: no limit',
  }),
  byteBurst: whole({
    min: 0,
    max: 10_000_000_000,
    standard: 2 * MIB,
    meaning:
      'Bytes that one connection may send at once after a pause, at least `websocket.maxPayloadBytes`; in one turn of the event loop it may send this many or 4 MiB, whichever is more',
  }),
  userBytesPerSecond: whole({
    min: 0,
    max: 10_000_000_000,
    standard: 4 * MIB,
    meaning: 'Bytes a second that all connections of one user to a node may send for long; `0`: no limit',
  }),
  userByteBurst: whole({
    min: 0,
    max: 10_000_000_000,
    standard: 8 * MIB,
    meaning:
      'Bytes that all connections of one user to a node may send at once after a pause, at least `websocket.maxPayloadBytes`',
  }),
  // A page is held whole in memory and sent as one frame.
  historyPage: whole({
    min: 1,
    max: 100_000,
    standard: 1000,
    meaning: 'Messages in one answer to `history`, and at most the `last` of a `join`',
  }),
  membersPage: whole({
    min: 1,
    max: 100_000,
    standard: 1000,
    meaning: 'Members in one answer to `members`; beyond it the answer is marked `truncated`',
  }),
  // A command of 30 bytes reads up to 1 MiB. Someone who scrolls back needs a few pages, and gets two seconds' worth at once.
  readBytesPerSecond: whole({
    min: 0,
    max: 1024 * MIB,
    standard: 4 * MIB,
    meaning:
      'Bytes of answers to `history` and `members` that one connection may have a second for long, and eight times as many all together; four times as many for one that catches up (`join` with `since`); `0`: no limit',
  }),
  bodyBytes: whole({
    min: 1024,
    max: 64 * MIB,
    standard: MIB,
    meaning: 'Bytes in the body of one HTTP request',
  }),
});

const history = z.strictObject({
  // Covers a reconnect, a lift ride and a deploy in ordinary rooms at a cost of some kilobytes a room.
  messages: whole({
    min: 0,
    max: HISTORY_MESSAGES_MAX,
    standard: 100,
    meaning: 'Messages that a room keeps; `0`: nothing is stored or numbered',
  }),
  ageMs: whole({
    min: 1000,
    max: HISTORY_AGE_MAX_MS,
    standard: 300_000,
    meaning: 'Milliseconds for which a message is kept',
  }),
});

const auth = z.strictObject({
  secret: optionalText({
    pattern: /./,
    expected: 'a secret',
    secret: true,
    meaning: 'Shared secret of HS256 tokens; take 32 random bytes or more',
  }),
  publicKeyFile: optionalText({
    ...FILE_PATH,
    readable: true,
    meaning: 'PEM public key that the signatures of tokens are checked with',
  }),
  jwksUrl: optionalUrl({
    protocols: ['http:', 'https:'],
    expected: 'a URL such as https://id.example.com/.well-known/jwks.json',
    meaning: 'URL of the key set that the signatures of tokens are checked with',
  }),
  issuer: optionalText({
    pattern: /./,
    expected: 'the name of an issuer',
    meaning: '`iss` that a token must carry',
  }),
  audience: optionalText({
    pattern: /./,
    expected: 'the name of an audience',
    meaning: '`aud` that a token must carry',
  }),
  algorithms: listOf({
    item: matching(ALGORITHMS, 'a signature algorithm such as HS256, RS256, ES256 or EdDSA'),
    expected: 'a list of signature algorithms',
    defaultText: 'those that fit the key',
    meaning: 'Signature algorithms that are accepted',
  }),
  // Off: whoever configures tokens mostly wants them from everyone.
  anonymous: yesNo({
    standard: false,
    meaning:
      'Where tokens are configured, also admit connections without one, as anonymous; room rules decide what they may do',
  }),
});

export const settingsSchema = z.strictObject({
  host: text({
    standard: '0.0.0.0',
    pattern: /^[^\s]+$/,
    expected: 'an address',
    flag: '--host <address>',
    meaning: 'Address to listen on',
  }),
  port: whole({
    min: 0,
    max: 65_535,
    standard: 8080,
    flag: '--port <number>',
    alias: 'PORT',
    meaning: 'Port to listen on; `0`: any free one',
  }),
  production: derivedYesNo({
    defaultText: '`true` where `NODE_ENV` is `production`; what only resembles it is refused',
    meaning: 'Close what is open for development: the demo page, and the HTTP API while it has no key',
  }),
  demo: derivedYesNo({ defaultText: 'not `production`', flag: '--demo', meaning: 'Serve the demo page' }),
  // Off: a header that anyone can send is no address unless a proxy of one's own writes it.
  trustProxy: yesNoOrList({
    item: z.string({ error: PROXIES_ERROR }).refine(isNetwork, { error: PROXIES_ERROR }),
    expected: PROXIES,
    meaning:
      "Whose `X-Forwarded-For` tells the client's address: a list of proxies (`10.0.0.0/8,fd00::/8`, `loopback`), the hops counted from the right; `true`: whoever connects, for one hop",
  }),
  apiKeys: listOf({
    item: matching(API_KEY, KEY_EXPECTED),
    expected: 'a list of keys',
    flag: '--api-key <key>',
    secret: true,
    meaning:
      'Keys of the HTTP API. None: it answers requests from the same machine only, and is off in production and where `auth` is configured',
  }),
  allowedOrigins: listOf({
    item: matching(ORIGIN, 'an origin such as https://example.com or https://*.example.com'),
    expected: 'a list of origins',
    meaning:
      'Origins of web pages that may connect, `https://*.example.com` for all subdomains. None: any page',
  }),
  tls,
  redis,
  websocket,
  heartbeat,
  limits,
  history,
  // Long enough for a publisher to try again through a whole outage that its clients would sit out.
  dedupWindowMs: whole({
    min: 1000,
    max: DAY_MS,
    standard: 300_000,
    meaning: 'Milliseconds for which an idempotency key is remembered',
  }),
  // A day: whoever comes back tomorrow learns what was missed (`gap`), not that the room began anew (`reset`).
  metaTtlMs: whole({
    min: 1000,
    max: 365 * DAY_MS,
    standard: DAY_MS,
    meaning: 'Milliseconds for which a quiet room keeps its numbering, also when its messages are gone',
  }),
  acks: z.strictObject({
    // A holiday of a week. Beyond `metaTtlMs` it counts only in rooms that are used meanwhile: it ends with the numbering.
    ttlMs: whole({
      min: 1000,
      max: 365 * DAY_MS,
      standard: 7 * DAY_MS,
      meaning:
        'Milliseconds, since the last ack in a room, for which it is kept how far its users have read; ends with the numbering of the room',
    }),
  }),
  rooms: listOf({
    item: ruleSchema,
    expected: 'a list of room rules, as JSON in the environment',
    kind: 'json',
    meaning: 'Rules for rooms by name, as JSON in the environment; the first that matches is used. See below',
  }),
  presence: z.strictObject({
    // Renewed at a fraction of this; members of a killed node are gone from every list after about as long.
    leaseMs: whole({
      min: 1000,
      max: 5 * MINUTE_MS,
      standard: 6000,
      meaning: 'Milliseconds after which the members of a dead node are removed',
    }),
    // Names of hundreds that come and go are of no use to anyone, and cost as much as messages do.
    detailedMembers: whole({
      min: 0,
      max: 100_000,
      standard: 200,
      meaning:
        'Members of a room up to which member events name who joined or left; in larger ones a count is pushed once a second',
    }),
  }),
  drain: z.strictObject({
    // Within the 30 s that orchestrators commonly grant, and slow enough for the other nodes to take over.
    windowMs: whole({
      min: 0,
      max: 10 * MINUTE_MS,
      standard: 10_000,
      meaning: 'Milliseconds over which a node that shuts down sends its connections elsewhere',
    }),
  }),
  acceptRate: z.strictObject({
    perSecond: whole({
      min: 0,
      max: 1_000_000,
      standard: 0,
      meaning: 'New connections a second that the node accepts; `0`: no limit',
    }),
  }),
  auth,
  metrics: z.strictObject({
    host: optionalText({
      pattern: /^[^\s]+$/,
      expected: 'an address',
      defaultText: 'that of `host`',
      meaning: 'Address of `metrics.port`',
    }),
    port: optionalWhole({
      min: 0,
      max: 65_535,
      meaning: 'Port on which `/metrics` is served instead of on `port`; `0`: any free one',
    }),
    key: optionalText({
      pattern: API_KEY,
      expected: KEY_EXPECTED,
      secret: true,
      meaning: '`/metrics` asks for it: `Authorization: Bearer <key>`',
    }),
    // Several scrapers at their usual pace; at some milliseconds each, a flood of scrapes costs a few hundredths of a core.
    rendersPerSecond: whole({
      min: 0,
      max: 1000,
      standard: 10,
      meaning:
        'Scrapes a second for which `/metrics` is made anew; those beyond get the last one. `0`: no limit',
    }),
  }),
  log: z.strictObject({
    level: oneOf({
      values: ['debug', 'info', 'warn', 'error', 'silent'],
      standard: 'info',
      flag: '--log-level <level>',
      meaning: 'Least level that is logged: `debug`, `info`, `warn`, `error`, or `silent` for none',
    }),
    format: oneOf({
      values: ['auto', 'pretty', 'json'],
      standard: 'auto',
      flag: '--log-format <format>',
      meaning: '`json`, `pretty` for people, or `auto`: pretty on a terminal',
    }),
  }),
});

export type Settings = z.output<typeof settingsSchema>;
