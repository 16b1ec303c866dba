/** Every setting of a node, with its default, the reason for it, its bounds and its meaning. */
import { isIP } from 'node:net';
import { z } from 'zod';
import {
  derivedYesNo,
  listOf,
  matching,
  oneOf,
  optionalText,
  optionalWhole,
  text,
  whole,
  yesNo,
  yesNoOrList,
} from './fields.ts';
import { apiKeys, metricsKey } from './groups/api-keys.ts';
import { auth } from './groups/auth.ts';
import { limits } from './groups/limits.ts';
import { redis } from './groups/redis.ts';
import { MIB, MINUTE_MS } from './groups/shared.ts';
import { tls } from './groups/tls.ts';
import { heartbeat, websocket } from './groups/websocket.ts';
import {
  DAY_MS,
  HISTORY_AGE_MAX_MS,
  HISTORY_BYTES_MAX,
  HISTORY_MESSAGES_MAX,
  ruleSchema,
} from './rule-schema.ts';

const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/(\*\.)?[^\s/*,]+$/i;

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

const history = z.strictObject({
  // Three limits, so that each kind of room has one that fits: age bounds quiet rooms, bytes bound rooms with
  // large messages, the count bounds busy ones. 10,000 messages are 50 s of a room with 200 a second, which
  // covers a reconnect, a lift ride and a deploy. docs/configuration.md has the arithmetic.
  messages: whole({
    min: 0,
    max: HISTORY_MESSAGES_MAX,
    standard: 10_000,
    meaning: 'Messages that a room keeps at most; `0`: nothing is stored or numbered',
  }),
  ageMs: whole({
    min: 1000,
    max: HISTORY_AGE_MAX_MS,
    standard: 300_000,
    meaning: 'Milliseconds to keep a message',
  }),
  // 40 s of the same room with payloads of 128 bytes: each message takes about 130 bytes more than its payload.
  bytes: whole({
    min: 0,
    max: HISTORY_BYTES_MAX,
    standard: 2 * MIB,
    meaning:
      "About how many bytes of Redis's memory (or the node's, without Redis) a room's messages may take, in steps of 64 KiB, until the oldest go; the newest message always stays. `0`: no limit",
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
  // Off: a client could send the header too. Only who is in `trustProxy` is believed.
  proxyProtocol: yesNo({
    standard: false,
    meaning:
      'Proxies in `trustProxy` name the client with PROXY protocol version 2 when they connect, as balancers of TCP do; each HTTP answer then ends its connection. Not together with `tls.certFile`',
  }),
  apiKeys,
  allowedOrigins: listOf({
    item: matching(ORIGIN, 'an origin such as https://example.com or https://*.example.com'),
    expected: 'a list of origins',
    meaning:
      'Origins of web pages that may connect, or use HTTP for clients (CORS); `https://*.example.com` for all subdomains. Empty: any page',
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
  // Off: a first room works without a rule. Whoever faces the internet turns it on, so that a room that was
  // forgotten is closed instead of open.
  defaultDeny: yesNo({
    standard: false,
    meaning:
      'Refuse clients what nothing permits: a room that no rule matches is closed, `join` and `publish` that a rule leaves out are `server`, and a token without a `rooms` claim grants nothing',
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
        'Room size up to which member events name who joined or left and tell changes of presence data; larger rooms get a count once a second',
    }),
    // Half a megabit a second: 90 changes of a small cursor each 100 ms. What is left out is only older data
    // of a member whose newest data follows.
    dataBytesPerSecond: whole({
      min: 0,
      max: 1_000_000_000,
      standard: 65_536,
      meaning:
        'Bytes a second of changed presence data that a room sends to each member; beyond that members hear the newest data of each other less often. `0`: no limit',
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
    key: metricsKey,
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

type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [Key in keyof T]?: DeepPartial<T[Key]> }
    : T;

/** Settings as a file or a program gives them: any of them, nested. */
export type GivenSettings = DeepPartial<z.input<typeof settingsSchema>>;
