/** The limits of a node as a Markdown table, for docs/limits.md. */
import { SETTINGS } from './settings.ts';

interface LimitRow {
  /** Path of the setting: the name of the limit in errors and metrics. */
  readonly path: string;
  /** Path of the setting for what may come at once. */
  readonly burst?: string;
  /** What is counted, and whose. */
  readonly bounds: string;
  /** What gets the error, and how. */
  readonly answer: string;
  /** Whether the answer says how long to wait. */
  readonly waits: boolean;
}

/** What the default 0 means. */
const ZERO: Readonly<Record<string, string>> = {
  'websocket.maxConnections': 'what the limit on open files allows',
  'websocket.maxUnauthenticated': 'a tenth of all, at least 100',
  'acceptRate.perSecond': 'none',
  'limits.roomPublishesPerSecond': 'none',
};

const REFUSED = '`rate_limited`';
const REFUSED_HTTP = '429 `rate_limited`';

/** In the order of their way: connections, requests, commands, what they hold. */
export const LIMIT_ROWS: readonly LimitRow[] = [
  {
    path: 'websocket.maxConnections',
    bounds: 'open connections of a node',
    answer: 'at the upgrade: 503 `unavailable`',
    waits: true,
  },
  {
    path: 'websocket.maxUnauthenticated',
    bounds: 'open connections of a node that have not presented a token',
    answer: 'at the upgrade: 503 `unavailable`',
    waits: true,
  },
  {
    path: 'acceptRate.perSecond',
    bounds: 'new connections of a node',
    answer: 'at the upgrade: 503 `unavailable`',
    waits: true,
  },
  {
    path: 'limits.socketsPerAddress',
    bounds:
      'open sockets of an address that connects, whatever they are used for. Those that others closed in the last seconds count in its favour',
    answer: 'closed without an answer',
    waits: false,
  },
  {
    path: 'limits.addressSocketsPerSecond',
    burst: 'limits.addressSocketBurst',
    bounds: 'new sockets of an address that connects, and with them TLS handshakes',
    answer: 'closed without an answer, before the handshake',
    waits: false,
  },
  {
    path: 'limits.connectionsPerAddress',
    bounds: 'open connections of an address',
    answer: 'at the upgrade: 429 `limit_exceeded`',
    waits: true,
  },
  {
    path: 'limits.connectionsPerUser',
    bounds: 'open connections of a user',
    answer:
      'at the upgrade: 429 `limit_exceeded`; to `auth`: `limit_exceeded`, then close 1013 unless the connection is anonymous',
    waits: true,
  },
  {
    path: 'limits.addressUpgradesPerSecond',
    burst: 'limits.addressUpgradeBurst',
    bounds: 'new connections of an address',
    answer: `at the upgrade: ${REFUSED_HTTP}`,
    waits: true,
  },
  {
    path: 'auth.refusalsPerSecond',
    bounds: 'refused tokens of an address; an accepted token counts a tenth. At once: four seconds of it',
    answer: `${REFUSED_HTTP}; to \`auth\`: ${REFUSED}, then close 1013 unless the connection is authenticated`,
    waits: true,
  },
  {
    path: 'limits.addressRequestsPerSecond',
    burst: 'limits.addressRequestBurst',
    bounds:
      'HTTP requests of an address without a valid API key; not `/healthz`, `/readyz`, and `/metrics` where it needs no key or has the right one',
    answer: REFUSED_HTTP,
    waits: true,
  },
  {
    path: 'limits.apiKeyRequestsPerSecond',
    burst: 'limits.apiKeyRequestBurst',
    bounds: 'HTTP requests with an API key',
    answer: REFUSED_HTTP,
    waits: true,
  },
  {
    path: 'limits.commandsPerSecond',
    burst: 'limits.commandBurst',
    bounds: 'commands of a connection',
    answer: REFUSED,
    waits: true,
  },
  {
    path: 'limits.userCommandsPerSecond',
    burst: 'limits.userCommandBurst',
    bounds: 'commands of all connections of a user, counted by 16',
    answer: REFUSED,
    waits: true,
  },
  {
    path: 'limits.addressCommandsPerSecond',
    burst: 'limits.addressCommandBurst',
    bounds: 'commands of all WebSockets without a user of an address, counted by 16; a join counts as five',
    answer: REFUSED,
    waits: true,
  },
  {
    path: 'limits.bytesPerSecond',
    burst: 'limits.byteBurst',
    bounds:
      'bytes of WebSocket messages, and of bodies of client requests, of a connection; a value in a JSON body counts as 8 at least',
    answer: REFUSED,
    waits: true,
  },
  {
    path: 'limits.userBytesPerSecond',
    burst: 'limits.userByteBurst',
    bounds: 'the same of all connections of a user, counted by 4 KiB',
    answer: REFUSED,
    waits: true,
  },
  {
    path: 'limits.joinsPerSecond',
    burst: 'limits.joinBurst',
    bounds: 'joins of a connection; of all event streams of a user, or of an address without one, together',
    answer: REFUSED,
    waits: true,
  },
  {
    path: 'limits.roomPublishesPerSecond',
    bounds: 'publishes and signals of clients to a room; `publishesPerSecond` of its rule takes its place',
    answer: REFUSED,
    waits: true,
  },
  {
    path: 'limits.roomsPerConnection',
    bounds: 'rooms that a connection is in',
    answer: '`limit_exceeded`',
    waits: false,
  },
  {
    path: 'limits.pendingRequests',
    bounds: 'commands of a connection that wait for their reply',
    answer: REFUSED,
    waits: true,
  },
  {
    path: 'limits.waitingReads',
    bounds: '`history` and `members` of a connection that wait for their turn',
    answer: REFUSED,
    waits: true,
  },
  {
    path: 'limits.keysPerUser',
    bounds: 'idempotency keys of a user, or of an anonymous connection, that are remembered',
    answer: REFUSED,
    waits: true,
  },
  {
    path: 'limits.presenceBytes',
    bounds: "bytes of a member's presence data",
    answer: '`payload_too_large`',
    waits: false,
  },
  {
    path: 'limits.bodyBytes',
    bounds:
      'bytes in the body of an HTTP request, and less where no valid request of a client is so long: for a message, and for a list of rooms; beyond 1,024 chunks, one of less than 256 bytes counts as 256 against the same limit',
    answer: '413 `payload_too_large`; closed for tiny chunks, and for twice the limit and more',
    waits: false,
  },
  {
    path: 'limits.unfinishedBodyBytes',
    bounds:
      'bytes of the bodies of client requests that are still arriving or wait for their turn, beyond 16 KiB each, of a node; the same answer to bodies beyond 8 MiB in one turn',
    answer: '429 `rate_limited`',
    waits: true,
  },
  {
    path: 'websocket.maxPayloadBytes',
    bounds: 'bytes in a WebSocket message, or of the data of a message over HTTP',
    answer: 'close 1009; over HTTP 413 `payload_too_large`',
    waits: false,
  },
  {
    path: 'websocket.backpressureBytes',
    bounds: 'bytes of replies that a connection has not read',
    answer: 'close 4008: it does not read errors either',
    waits: false,
  },
  {
    path: 'limits.unreadBytes',
    bounds: 'bytes of replies and messages that all connections of a node have not read',
    answer:
      'the connections with the most unread bytes are dropped; they come back, and recover from history',
    waits: false,
  },
];

/** No trailing newline. */
export function limitsTable(): string {
  const head = ['limit', 'default', 'at once', 'bounds', 'beyond it', '`retryAfterMs`'];
  const rows = LIMIT_ROWS.map(({ path, burst, bounds, answer, waits }) => [
    `\`${path}\``,
    standardOf(path),
    burst === undefined ? '' : standardOf(burst),
    bounds,
    answer,
    waits ? 'yes' : 'no',
  ]);
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function standardOf(path: string): string {
  const setting = SETTINGS.find((one) => one.path === path);
  if (setting === undefined) throw new Error(`no such setting: ${path}`);
  const standard = Number(setting.schema.parse(undefined));
  return setting.defaultText ?? ZERO[path] ?? standard.toLocaleString('en');
}
