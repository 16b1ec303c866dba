/** Every setting of a node, with its default, the reason for it, its bounds and its meaning. */
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
// ASCII only: HTTP libraries differ in how they send other characters in a header, and uWebSockets.js trims
// them at the ends.
const API_KEY = /^[!-+\--~]+$/;
const KEY_EXPECTED = 'a key of printable ASCII without spaces and commas';
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/(\*\.)?[^\s/*,]+$/i;

// Signature algorithms by name, so that `none` never matches.
const ALGORITHMS = /^((HS|RS|PS)(256|384|512)|ES(256|384|512)|EdDSA|Ed25519)$/;

const PROXIES = 'true, false, or a list of addresses and networks such as 10.0.0.0/8, fd00::/8 or loopback';
const PROXIES_ERROR = `expected ${PROXIES}`;

/** An IP address, a network such as `10.0.0.0/8`, or `loopback`. */
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
    meaning: 'PEM certificate chain; with `tls.keyFile`, the node serves TLS itself',
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
    meaning: "PEM certificates to check a `rediss://` server with, instead of the system's",
  }),
  certFile: optionalText({ ...FILE_PATH, readable: true, meaning: 'PEM client certificate for Redis' }),
  keyFile: optionalText({
    ...FILE_PATH,
    readable: true,
    meaning: 'PEM private key of the client certificate',
  }),
  rejectUnauthorized: yesNo({
    standard: true,
    meaning: 'Reject a Redis server whose certificate is not valid',
  }),
});

function redisUrlProblem(text: string): string | null {
  const read = readRedisUrl(text);
  return 'problem' in read ? read.problem : null;
}

const redis = z.strictObject({
  // Null: the memory backplane, a whole broker in one process, so that trying it needs nothing else.
  url: optionalJudged({
    problemOf: redisUrlProblem,
    expected: 'a URL such as redis://localhost:6379 or rediss://user:password@host:6380/0',
    flag: '--redis <url>',
    alias: 'REDIS_URL',
    secret: true,
    meaning: 'Redis that connects the nodes; without it, one node is the whole broker, in memory',
  }),
  // No braces: they would replace the hash tag that keeps a room's keys together.
  keyPrefix: text({
    standard: 'rc',
    pattern: /^[\w.:-]{1,64}$/,
    expected: '1 to 64 letters, digits or any of _ . : -',
    meaning: 'Prefix of every key and channel; clusters that share one Redis need different prefixes',
  }),
  // Long enough for a Redis that starts together with the node, short enough for an orchestrator to notice.
  startupTimeoutMs: whole({
    min: 0,
    max: 10 * MINUTE_MS,
    standard: 10_000,
    meaning: 'Milliseconds to keep trying an unreachable Redis at start',
  }),
  // A publisher should get `unavailable` or `timeout` before its own timeout ends.
  commandTimeoutMs: whole({
    min: 50,
    max: MINUTE_MS,
    standard: 1500,
    meaning: 'Milliseconds after which a Redis command fails',
  }),
  // Many more than a cluster has masters, few enough that rooms under load share a batch.
  partitions: whole({
    min: 1,
    max: 16_384,
    standard: 128,
    meaning: 'Number of buckets that rooms are hashed into; must be the same on every node of a cluster',
  }),
  tls: redisTls,
});

const websocket = z.strictObject({
  path: text({
    standard: '/ws',
    pattern: /^\/[\w.~/-]*$/,
    expected: 'a path such as /ws',
    meaning: 'Path of the WebSocket endpoint; must not be the path of an HTTP route',
  }),
  // Far more than chat or game state needs; larger things belong in an object store.
  maxPayloadBytes: whole({
    min: 1024,
    max: 16 * MIB,
    standard: 65_536,
    meaning:
      'Maximum bytes in one WebSocket message from a client; a larger one closes the connection (1009, or 1006 if it is more than 4096 bytes over)',
  }),
  // What a client that stopped reading may cost this process; the kernel holds up to 4 MB more.
  backpressureBytes: whole({
    min: 1024,
    max: 1024 * MIB,
    standard: MIB,
    meaning: 'Bytes that may wait for one client before it is taken off live delivery',
  }),
  // A node without free files cannot accept, log or reach Redis again, so it stays below its limit.
  maxConnections: whole({
    min: 0,
    max: 10_000_000,
    standard: 0,
    meaning:
      'Maximum connections to the node; `0`: as many as the limit on open files (`ulimit -n`) allows, minus 64 for the node itself and a tenth (16 to 1000) for HTTP. A higher number is lowered to that',
  }),
  // They cost an attacker nothing, and an honest client needs this state for a second or so.
  maxUnauthenticated: whole({
    min: 0,
    max: 10_000_000,
    standard: 0,
    meaning:
      'Maximum connections that have not presented a token yet, when tokens are required; `0`: a tenth of all, at least 100',
  }),
  authTimeoutMs: whole({
    min: 100,
    max: 10 * MINUTE_MS,
    standard: 5000,
    meaning: 'Milliseconds in which a connection without a token must send its `auth` frame',
  }),
});

const heartbeat = z.strictObject({
  // Less than half of the minute after which proxies and load balancers commonly cut an idle connection.
  intervalMs: whole({
    min: 1000,
    max: 5 * MINUTE_MS,
    standard: 25_000,
    meaning:
      'Milliseconds between WebSocket pings; a connection that is silent for two of them is closed (4010)',
  }),
});

const limits = z.strictObject({
  roomsPerConnection: whole({
    min: 1,
    max: 100_000,
    standard: 100,
    meaning: 'Maximum rooms that one connection may be in',
  }),
  // Far more than a person sends, and well below what one connection needs to starve the others.
  commandsPerSecond: whole({
    min: 0,
    max: 10_000_000,
    standard: 1000,
    meaning: 'Commands a second that one connection may sustain; `0`: no limit',
  }),
  // A client that reconnects joins many rooms at once.
  commandBurst: whole({
    min: 0,
    max: 100_000_000,
    standard: 5000,
    meaning:
      'Commands that one connection may send at once after a pause; one turn of the event loop accepts this many or 10,000, whichever is more',
  }),
  // A thousand commands a second of 2 KiB each. What one turn may bring in stays below 100 ms of work.
  bytesPerSecond: whole({
    min: 0,
    max: 10_000_000_000,
    standard: 2 * MIB,
    meaning: 'Bytes a second that one connection may sustain; `0`: no limit',
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
    meaning: 'Bytes a second that all connections of one user to a node may sustain; `0`: no limit',
  }),
  userByteBurst: whole({
    min: 0,
    max: 10_000_000_000,
    standard: 8 * MIB,
    meaning:
      'Bytes that all connections of one user to a node may send at once after a pause, at least `websocket.maxPayloadBytes`',
  }),
  // A page is held in memory as a whole and sent as one frame.
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
    meaning: 'Maximum members in one reply to `members`; a longer list is cut and marked `truncated`',
  }),
  // A command of 30 bytes reads up to 1 MiB. A user who scrolls back needs a few pages, and gets two seconds'
  // worth at once.
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
    meaning: 'Maximum bytes in the body of one HTTP request',
  }),
});
// Covers a reconnect, a lift ride and a deploy in ordinary rooms at a cost of some kilobytes a room.
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
    meaning: 'Milliseconds to keep a message',
  }),
});

const auth = z.strictObject({
  secret: optionalText({
    pattern: /./,
    expected: 'a secret',
    secret: true,
    meaning: 'Shared secret of HS256 tokens; use at least 32 random bytes',
  }),
  publicKeyFile: optionalText({
    ...FILE_PATH,
    readable: true,
    meaning: 'PEM public key to check token signatures with',
  }),
  jwksUrl: optionalUrl({
    protocols: ['http:', 'https:'],
    expected: 'a URL such as https://id.example.com/.well-known/jwks.json',
    meaning: 'URL of the key set (JWKS) to check token signatures with',
  }),
  issuer: optionalText({
    pattern: /./,
    expected: 'the name of an issuer',
    meaning: '`iss` that a token must have',
  }),
  audience: optionalText({
    pattern: /./,
    expected: 'the name of an audience',
    meaning: '`aud` that a token must have',
  }),
  algorithms: listOf({
    item: matching(ALGORITHMS, 'a signature algorithm such as HS256, RS256, ES256 or EdDSA'),
    expected: 'a list of signature algorithms',
    defaultText: 'all that fit the key',
    meaning: 'Accepted signature algorithms',
  }),
  // Off: an operator who configures tokens mostly wants them from everyone.
  anonymous: yesNo({
    standard: false,
    meaning:
      'Also admit connections without a token, as anonymous, when tokens are configured; room rules decide what they may do',
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
    defaultText: '`true` if `NODE_ENV` is `production`; near misses are errors',
    meaning: 'Turn off what is open for development: the demo page, and the HTTP API if it has no key',
  }),
  demo: derivedYesNo({ defaultText: 'not `production`', flag: '--demo', meaning: 'Serve the demo page' }),
  // Off: anyone can send this header, so it is only an address if your own proxy writes it.
  trustProxy: yesNoOrList({
    item: z.string({ error: PROXIES_ERROR }).refine(isNetwork, { error: PROXIES_ERROR }),
    expected: PROXIES,
    meaning:
      "Proxies whose `X-Forwarded-For` is trusted for the client's address, with hops counted from the right: a list (`10.0.0.0/8,fd00::/8`, `loopback`); `true`: trust any peer, for one hop",
  }),
  apiKeys: listOf({
    item: matching(API_KEY, KEY_EXPECTED),
    expected: 'a list of keys',
    flag: '--api-key <key>',
    secret: true,
    meaning:
      'Keys of the HTTP API. Without one it answers only requests from the same machine, and is off in production and when `auth` is configured',
  }),
  allowedOrigins: listOf({
    item: matching(ORIGIN, 'an origin such as https://example.com or https://*.example.com'),
    expected: 'a list of origins',
    meaning:
      'Origins of web pages that may connect, `https://*.example.com` for all subdomains. Empty: any page',
  }),
  tls,
  redis,
  websocket,
  heartbeat,
  limits,
  history,
  // Long enough for a publisher to keep retrying through any outage that its clients would wait for.
  dedupWindowMs: whole({
    min: 1000,
    max: DAY_MS,
    standard: 300_000,
    meaning: 'Milliseconds to remember an idempotency key',
  }),
  // A day: a client that returns tomorrow learns that it missed messages (`gap`), not that the room started
  // over (`reset`).
  metaTtlMs: whole({
    min: 1000,
    max: 365 * DAY_MS,
    standard: DAY_MS,
    meaning: 'Milliseconds for which a quiet room keeps its numbering, even after its messages are gone',
  }),
  acks: z.strictObject({
    // A week's holiday. Above `metaTtlMs` it only matters in rooms that stay in use: acks end with the room's
    // numbering.
    ttlMs: whole({
      min: 1000,
      max: 365 * DAY_MS,
      standard: 7 * DAY_MS,
      meaning:
        "Milliseconds to keep a room's acks after the last one; they also end with the room's numbering",
    }),
  }),
  rooms: listOf({
    item: ruleSchema,
    expected: 'a list of room rules, as JSON in the environment',
    kind: 'json',
    meaning: 'Room rules, as JSON in the environment; the first rule that matches a room applies. See below',
  }),
  presence: z.strictObject({
    // Renewed at a fraction of this; members of a killed node leave every list after about this long.
    leaseMs: whole({
      min: 1000,
      max: 5 * MINUTE_MS,
      standard: 6000,
      meaning: 'Milliseconds after which the members of a dead node are removed',
    }),
    // In a room of hundreds, names of who comes and goes help no one, and cost as much as messages.
    detailedMembers: whole({
      min: 0,
      max: 100_000,
      standard: 200,
      meaning:
        'Room size up to which member events name who joined or left; larger rooms get a count once a second',
    }),
  }),
  drain: z.strictObject({
    // Fits in the 30 s that orchestrators commonly allow, and slow enough for the other nodes to take over.
    windowMs: whole({
      min: 0,
      max: 10 * MINUTE_MS,
      standard: 10_000,
      meaning: 'Milliseconds over which a node that shuts down moves its connections to other nodes',
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
      defaultText: 'same as `host`',
      meaning: 'Address to listen on for `metrics.port`',
    }),
    port: optionalWhole({
      min: 0,
      max: 65_535,
      meaning: 'Port to serve `/metrics` on, instead of `port`; `0`: any free one',
    }),
    key: optionalText({
      pattern: API_KEY,
      expected: KEY_EXPECTED,
      secret: true,
      meaning: 'Key that `/metrics` requires: `Authorization: Bearer <key>`',
    }),
    // Enough for several scrapers. A scrape takes some milliseconds, so a flood of them costs a few
    // hundredths of a core.
    rendersPerSecond: whole({
      min: 0,
      max: 1000,
      standard: 10,
      meaning:
        'Times a second that `/metrics` is rendered; further scrapes get the last result. `0`: no limit',
    }),
  }),
  log: z.strictObject({
    level: oneOf({
      values: ['debug', 'info', 'warn', 'error', 'silent'],
      standard: 'info',
      flag: '--log-level <level>',
      meaning: 'Minimum level to log: `debug`, `info`, `warn`, `error`, or `silent` for none',
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
