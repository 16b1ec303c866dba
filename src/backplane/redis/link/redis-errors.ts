/** What an error from Redis, or on the way to it, means for the operation. */
import { BackplaneError, type BackplaneErrorCode, unavailable } from '../../backplane.ts';

/**
 * Replies by which Redis refuses to do anything at all: full, read-only, loading, busy, cut off, not
 * permitted.
 */
const REFUSALS =
  /^(OOM|READONLY|MISCONF|NOREPLICAS|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOAUTH|NOPERM)\b|The user executing the script/;
/**
 * Replies by which a server of a cluster says that another one has the keys or will soon have them, or that nobody can take them
 * now. It ran nothing.
 */
const NOT_RUN = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY)\b|\bnon local key\b|while the cluster is down\b/;
/** The subset by which it refuses all writes but continues to read. */
const REFUSED_WRITES = /^(OOM|READONLY|MISCONF|NOREPLICAS)\b/;
/** Renamed, disabled, or of another kind of server. Inside a script Redis words it differently. */
const UNKNOWN_COMMAND = /^ERR unknown command\b|Unknown Redis command called from/i;
const WRONG_CREDENTIALS = /\b(WRONGPASS|NOAUTH|invalid password|invalid username-password)/i;

/** For error replies of Redis: their text starts with a code in capitals. */
export function errorFromReply(message: string, stage: string): BackplaneError {
  const isRefused = REFUSALS.test(message) || NOT_RUN.test(message) || /^ERR unknown command\b/.test(message);
  return new BackplaneError(isRefused ? 'unavailable' : 'internal', stage, `redis: ${message}`);
}

/** Whether Redis itself replied so: then nothing is in flight any more. */
export function isAnswer(error: BackplaneError): boolean {
  return error.cause === undefined && error.message.startsWith('redis: ');
}

/**
 * Whether a server of a cluster replied that it did not run the call, and it may run elsewhere or later. What was stored before the
 * error, whatever its text, must not run again.
 */
export function isNotRun(error: Pick<BackplaneError, 'message'>): boolean {
  return !(error instanceof StoredError) && NOT_RUN.test(error.message.replace(/^redis: /, ''));
}

export function isRefusedWrite(message: string): boolean {
  return REFUSED_WRITES.test(message);
}

/** By what answer Redis refused to write, where an error says so; else null. One that became a replica is left for another. */
export function refusedWrite(error: BackplaneError): string | null {
  const reply = error.message.replace(/^redis: /, '');
  return isRefusedWrite(reply) && !isReadOnly(reply) ? reply.replace(/\.$/, '') : null;
}

export function isUnknownCommand(message: string): boolean {
  return UNKNOWN_COMMAND.test(message);
}

/** A server without a free connection replies this to the first command. */
export function isFull(message: string): boolean {
  return message.includes('max number of clients reached');
}

/** Redis refused a batch of messages: nothing of it was stored or sent, whatever the reason. */
export function refusedPublish(message: string): BackplaneError {
  return unavailable('publish', `redis: ${message}`);
}

/** For a whole rejected call of batches. An error reply of Redis means that it did not run. */
export function publishErrorFromCall(cause: unknown): BackplaneError {
  const error = errorFromCall(cause, 'publish');
  return error.code === 'internal' ? unavailable('publish', error.message) : error;
}

/**
 * Redis stored a batch of messages and then replied with an error. Members may not have received it; they do
 * when their node next checks for missed messages. The link is healthy: nothing is late.
 */
export class StoredError extends BackplaneError {
  constructor(message: string) {
    super('timeout', 'publish', `redis stored the message and then failed: ${message}`);
  }
}

/** For whatever an ioredis call rejected with. */
export function errorFromCall(cause: unknown, stage: string): BackplaneError {
  if (cause instanceof BackplaneError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  const failure = failureOf(message);
  return failure === null
    ? errorFromReply(message, stage)
    : new BackplaneError(failure.code, stage, `redis: ${failure.says}`, { cause });
}

/** The reply of a replica that was a primary: the link now leads to the wrong server. */
export function isReadOnly(message: string): boolean {
  return message.startsWith('READONLY');
}

/** The reply of a server without a password to a login with one. Anybody may do everything there. */
export function isNeedlessPassword(message: string): boolean {
  return /no password is set|without any password configured for the default user/.test(message);
}

export function isWrongCredentials(error: Error): boolean {
  return WRONG_CREDENTIALS.test(error.message);
}

/** Null for a reply from Redis. ioredis tells these cases apart only by their texts, which mean nothing to those who publish. */
function failureOf(message: string): { readonly code: BackplaneErrorCode; readonly says: string } | null {
  if (message.startsWith("Stream isn't writeable"))
    return { code: 'unavailable', says: 'the connection is down' };
  if (message === 'Command timed out') return { code: 'timeout', says: 'no answer in time' };
  // It was sent and the link died: only Redis knows.
  if (/^(Connection is closed|Reached the max retries|Command aborted|.*ECONNRESET)/.test(message))
    return { code: 'timeout', says: 'the connection was lost before the answer' };
  return null;
}
