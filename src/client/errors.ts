/** Everything that the client rejects with. Messages never hold a token or a payload. */
import type { ErrorCode } from '../protocol/codes.ts';
import type { ErrorDetails } from '../protocol/frames.ts';

/** Codes of refusals that waiting may cure. After the last two it is unknown whether it was done. */
export const PASSING: readonly ErrorCode[] = ['rate_limited', 'unavailable', 'timeout', 'internal'];

export class RoomcastError extends Error {
  override readonly name: string = 'RoomcastError';
}

/** The node refused a request. `code` is one of the error codes of the protocol. */
export class RefusedError extends RoomcastError {
  override readonly name = 'RefusedError';
  readonly code: ErrorCode;
  /** How long to wait before trying again, where the node said so. */
  readonly retryAfterMs: number | null;
  /** The setting of the limit that was reached, such as `limits.commandsPerSecond`, where the node said so. */
  readonly limit: string | null;

  constructor(code: ErrorCode, message: string, details?: ErrorDetails) {
    super(`${code}: ${message}`);
    this.code = code;
    this.retryAfterMs = details?.retryAfterMs ?? null;
    this.limit = details?.limit ?? null;
  }
}

/** The connection was lost before the answer came. The client repeats what may be repeated, so you see it seldom. */
export class DisconnectedError extends RoomcastError {
  override readonly name = 'DisconnectedError';

  constructor() {
    super('the connection was lost before the answer came');
  }
}

/**
 * It is unknown whether a publish was stored: it was sent and never answered, and nodes no longer remember its key, so that sending
 * it again could store it twice; or it was sent again and refused then.
 */
export class UnknownOutcomeError extends RoomcastError {
  override readonly name = 'UnknownOutcomeError';

  constructor(why: string) {
    super(`it is unknown whether this message was stored: ${why}`);
  }
}

/** Too many publishes wait. This one was not queued. */
export class QueueFullError extends RoomcastError {
  override readonly name = 'QueueFullError';
}

/** The client is closed: by `close()`, by the server, or because `getToken` threw `Unauthorized`. */
export class ClosedError extends RoomcastError {
  override readonly name = 'ClosedError';

  constructor(reason: string) {
    super(`closed: ${reason}`);
  }
}

/** A `for await` loop fell behind by more messages than its buffer holds. */
export class TooSlowError extends RoomcastError {
  override readonly name = 'TooSlowError';
}

/** Throw it in `getToken` when the user has no access: the client closes and does not ask again. */
export class Unauthorized extends RoomcastError {
  override readonly name = 'Unauthorized';

  constructor(message = 'not authorized') {
    super(message);
  }
}

/** By name: the application may have it from another copy of this package. */
export function isUnauthorized(error: unknown): error is Error {
  return error instanceof Error && error.name === 'Unauthorized';
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
