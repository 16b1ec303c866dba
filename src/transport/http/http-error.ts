import type { OverLimit } from '../../connection/over-limit.ts';
import type { ErrorCode } from '../../protocol/codes.ts';
import type { ErrorDetails } from '../../protocol/frames.ts';

/** A request that cannot be served, with the error to answer. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code: ErrorCode;
  /** Sent with the answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** What an `error` frame would say besides. */
  readonly details: ErrorDetails | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
    details?: ErrorDetails,
  ) {
    super(message);
    this.code = code;
    this.headers = headers;
    this.details = details;
  }

  /** The error of a limit. */
  static of({
    code,
    message,
    details,
  }: Pick<OverLimit, 'code' | 'message'> & { details: ErrorDetails }): HttpError {
    return new HttpError(code, message, {}, details);
  }
}
