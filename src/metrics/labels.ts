/**
 * The closed sets that labels take their values from. No label ever holds a room, a user, a connection or
 * anything else that a peer sent. The protocol's own sets are repeated here because this folder imports
 * nothing from the broker. A test compares them with `protocol/`, and the compiler rejects a missing code.
 */

/** What connections read. `sse`: event streams. */
export const ENCODINGS = ['msgpack', 'json', 'sse'] as const;
export type EncodingLabel = (typeof ENCODINGS)[number];

export const COMMAND_TYPES = [
  'join',
  'leave',
  'publish',
  'presence',
  'members',
  'history',
  'ack',
  'auth',
  'ping',
] as const;

/** Codes of `error` frames and of HTTP error bodies. */
export const ERROR_CODES = [
  'bad_frame',
  'bad_room',
  'bad_request',
  'unauthorized',
  'token_expired',
  'token_revoked',
  'forbidden',
  'not_found',
  'method_not_allowed',
  'not_joined',
  'payload_too_large',
  'unsupported_media_type',
  'limit_exceeded',
  'rate_limited',
  'internal',
  'unavailable',
  'timeout',
] as const;
export type ErrorLabel = (typeof ERROR_CODES)[number];

/**
 * WebSocket close codes with their own label: what a node sends, and what a client or its network commonly
 * causes (1000, 1005 without a code, 1006 without a close frame). A client may send any number: the rest is
 * `other`.
 */
export const CLOSE_CODES = [
  1000, 1001, 1005, 1006, 1007, 1009, 1011, 1012, 1013, 4002, 4008, 4009, 4010, 4501, 4503, 4504, 4505,
] as const;

/**
 * Why an upgrade was answered with an HTTP error. `handshake`: its headers are not a valid WebSocket upgrade.
 * `unavailable`: the token could not be checked. `token_checks`: too many tokens of the address were refused.
 * `waiting`: too many connections have not presented their token yet. `address`, `user`: its limit on
 * connections, or on new ones, is reached. `aborted`: the client left before its token was checked.
 */
export const UPGRADE_REFUSALS = [
  'handshake',
  'subprotocol',
  'unauthorized',
  'unavailable',
  'origin',
  'limit',
  'waiting',
  'rate',
  'token_checks',
  'address',
  'user',
  'draining',
  'aborted',
] as const;
export type UpgradeRefusalLabel = (typeof UPGRADE_REFUSALS)[number];

/** How the check of a token ended: accepted, the code that its owner gets, or `rate_limited`: it was not checked. */
export const TOKEN_OUTCOMES = [
  'ok',
  'unauthorized',
  'token_expired',
  'token_revoked',
  'unavailable',
  'rate_limited',
  'internal',
] as const;
export type TokenOutcomeLabel = (typeof TOKEN_OUTCOMES)[number];

/** What was revoked. */
export const REVOCATION_KINDS = ['user', 'token'] as const;
export type RevocationKindLabel = (typeof REVOCATION_KINDS)[number];

/** What a connection closed with 4009 sent too much of. `messages`: WebSocket messages without a command. */
export const FLOODS = ['messages', 'control_frames', 'commands', 'bytes'] as const;
export type FloodLabel = (typeof FLOODS)[number];

/** Limits that turn something away, by the name of their setting. docs/limits.md lists the same. */
export const LIMITS = [
  'websocket.maxConnections',
  'websocket.maxUnauthenticated',
  'acceptRate.perSecond',
  'limits.socketsPerAddress',
  'limits.addressSocketsPerSecond',
  'limits.connectionsPerAddress',
  'limits.connectionsPerUser',
  'limits.addressUpgradesPerSecond',
  'auth.refusalsPerSecond',
  'limits.addressRequestsPerSecond',
  'limits.apiKeyRequestsPerSecond',
  'limits.commandsPerSecond',
  'limits.userCommandsPerSecond',
  'limits.addressCommandsPerSecond',
  'limits.bytesPerSecond',
  'limits.userBytesPerSecond',
  'limits.joinsPerSecond',
  'limits.roomPublishesPerSecond',
  'limits.roomsPerConnection',
  'limits.pendingRequests',
  'limits.waitingReads',
  'limits.keysPerUser',
  'limits.presenceBytes',
  'limits.bodyBytes',
  'limits.unfinishedBodyBytes',
  'limits.unreadBytes',
  'websocket.maxPayloadBytes',
  'websocket.backpressureBytes',
] as const;
export type LimitLabel = (typeof LIMITS)[number];

/** Where a message was published from. */
export const MESSAGE_SOURCES = ['client', 'http_api'] as const;

/** How a publish ended at the backplane: stored, a duplicate by its key, or the backplane's error code. */
export const PUBLISH_OUTCOMES = ['ok', 'duplicate', 'unavailable', 'timeout', 'internal'] as const;

/**
 * How an ack ended: kept, not higher than the stored one, another epoch, beyond the newest message, or the
 * backplane's error code.
 */
export const ACK_OUTCOMES = [
  'kept',
  'not_higher',
  'other_epoch',
  'beyond',
  'unavailable',
  'timeout',
  'internal',
] as const;

/** What a room's rule does with members that read too slowly. */
export const SLOW_READER_POLICIES = ['resume', 'latest', 'disconnect'] as const;

/** HTTP routes, as templates: a path that a client made up is `other`. `page` is the page at `/`, and the client that pages load. */
export const HTTP_ROUTES = [
  'page',
  '/healthz',
  '/readyz',
  '/metrics',
  '/v1/publish',
  '/v1/publish/batch',
  '/v1/rooms',
  '/v1/rooms/:room/members',
  '/v1/rooms/:room/history',
  '/v1/rooms/:room/acks',
  '/v1/rooms/:room/add',
  '/v1/rooms/:room/remove',
  '/v1/users/:user',
  '/v1/rooms/:room/events',
  '/v1/rooms/:room/messages',
  '/v1/events',
  '/v1/users/:user/disconnect',
  '/v1/revocations',
  '/v1/nodes',
  'other',
] as const;
export type HttpRouteLabel = (typeof HTTP_ROUTES)[number];

export const STATUS_CLASSES = ['2xx', '3xx', '4xx', '5xx'] as const;
export type StatusClassLabel = (typeof STATUS_CLASSES)[number];

/** One zero for each label value: a plain object of numbers to increment with `++`. */
export function zeros<K extends string>(labels: readonly K[]): Record<K, number> {
  return Object.fromEntries(labels.map((label) => [label, 0])) as Record<K, number>;
}
