/** Every code of the protocol, with its status and reason. */

/** Codes of `error` frames and of HTTP error bodies, with the HTTP status of each. */
export const ERROR_STATUS = {
  bad_frame: 400,
  bad_room: 400,
  bad_request: 400,
  unauthorized: 401,
  token_expired: 401,
  token_revoked: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  not_joined: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  limit_exceeded: 429,
  rate_limited: 429,
  internal: 500,
  unavailable: 503,
  timeout: 504,
} as const;

/** `not_found`, `method_not_allowed` and `unsupported_media_type` appear in HTTP bodies only, never in a frame. */
export type ErrorCode = keyof typeof ERROR_STATUS;

/**
 * WebSocket close codes that a node sends. The range tells a client what to do, so that old clients handle
 * codes they do not know: 4000-4499 reconnect, 4500-4999 stop.
 */
export const CLOSE = {
  undecodable: { code: 1007, reason: 'undecodable data' },
  tooLarge: { code: 1009, reason: 'message too large' },
  internal: { code: 1011, reason: 'internal error' },
  restart: { code: 1012, reason: 'node restarting' },
  tryAgainLater: { code: 1013, reason: 'try again later' },
  tokenExpired: { code: 4002, reason: 'token expired' },
  tooSlow: { code: 4008, reason: 'too slow' },
  rateLimited: { code: 4009, reason: 'rate limit' },
  heartbeatTimeout: { code: 4010, reason: 'heartbeat timeout' },
  unauthorized: { code: 4501, reason: 'unauthorized' },
  disconnected: { code: 4503, reason: 'disconnected by the server' },
  violations: { code: 4504, reason: 'protocol violations' },
  revoked: { code: 4505, reason: 'token revoked' },
} as const satisfies Record<string, CloseReason>;

export interface CloseReason {
  readonly code: number;
  /** At most 123 bytes of UTF-8. */
  readonly reason: string;
}

/** Whether a client that follows the protocol reconnects after this close code. */
export function shouldReconnect(code: number): boolean {
  if (code >= 4500 && code <= 4999) return false;
  // 1002, 1003, 1007, 1009, 1010: the client's own message was at fault, and would fail again.
  return ![1002, 1003, 1007, 1009, 1010].includes(code);
}
