/** What an error from Redis, or on the way to it, means for what was being done. */
import { BackplaneError, type BackplaneErrorCode, unavailable } from '../../backplane.ts';

/** Answers by which Redis refuses to do anything at all: full, read-only, loading, busy, cut off, not permitted. */
const REFUSALS =
  /^(OOM|READONLY|MISCONF|NOREPLICAS|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOAUTH|NOPERM)\b|The user executing the script/;
/** Those among them by which it refuses to write, whoever asks, and goes on reading. */
const REFUSED_WRITES = /^(OOM|READONLY|MISCONF|NOREPLICAS)\b/;
/** Renamed, switched off, or of another kind of server. Inside of a script Redis says it differently. */
const UNKNOWN_COMMAND = /^ERR unknown command\b|Unknown Redis command called from/i;
const WRONG_CREDENTIALS = /\b(WRONGPASS|NOAUTH|invalid password|invalid username-password)/i;

/** For errors that Redis answered with: their text begins with a code in capitals. */
export function errorFromReply(message: string, stage: string): BackplaneError {
  const isRefused = REFUSALS.test(message) || /^ERR unknown command\b/.test(message);
  return new BackplaneError(isRefused ? 'unavailable' : 'internal', stage, `redis: ${message}`);
}

/** Whether Redis itself said so: then nothing is under way any more. */
export function isAnswer(error: BackplaneError): boolean {
  return error.cause === undefined && error.message.startsWith('redis: ');
}

export function isRefusedWrite(message: string): boolean {
  return REFUSED_WRITES.test(message);
}

export function isUnknownCommand(message: string): boolean {
  return UNKNOWN_COMMAND.test(message);
}

/** The answer that a server without a free connection gives, to whatever is asked first. */
export function isFull(message: string): boolean {
  return message.includes('max number of clients reached');
}

/** Redis refused a batch of messages: nothing of it was stored or sent, whatever the reason. */
export function refusedPublish(message: string): BackplaneError {
  return unavailable('publish', `redis: ${message}`);
}

/** For a whole call of batches that was rejected. An answer of Redis means that it did not run. */
export function publishErrorFromCall(cause: unknown): BackplaneError {
  const error = errorFromCall(cause, 'publish');
  return error.code === 'internal' ? unavailable('publish', error.message) : error;
}

/**
 * Redis stored a batch of messages and then answered with an error. Members may not have been sent it; they get it when
 * their node next looks for what it missed. The link is well: nothing is late.
 */
export class StoredError extends BackplaneError {
  constructor(message: string) {
    super('timeout', 'publish', `redis stored the message and then failed: ${message}`);
  }
}

/** For whatever an ioredis call was rejected with. */
export function errorFromCall(cause: unknown, stage: string): BackplaneError {
  if (cause instanceof BackplaneError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = codeOf(message);
  return code === null
    ? errorFromReply(message, stage)
    : new BackplaneError(code, stage, `redis: ${message}`, { cause });
}

/** The answer of a replica that was a primary: the link leads to the wrong server by now. */
export function isReadOnly(message: string): boolean {
  return message.startsWith('READONLY');
}

export function isWrongCredentials(error: Error): boolean {
  return WRONG_CREDENTIALS.test(error.message);
}

/** Null for an answer from Redis. ioredis tells these cases apart only by their words. */
function codeOf(message: string): BackplaneErrorCode | null {
  if (message.startsWith("Stream isn't writeable")) return 'unavailable';
  if (message === 'Command timed out') return 'timeout';
  // It was sent and the link died: only Redis knows.
  if (/^(Connection is closed|Reached the max retries|Command aborted|.*ECONNRESET)/.test(message))
    return 'timeout';
  return null;
}
