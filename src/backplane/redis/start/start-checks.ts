/**
 * Whether a node can work with a Redis, tried on a separate connection before the node makes its links. What
 * an operator must change (rights, the kind of server, the password) fails at once; temporary problems are
 * retried for a while.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ConnectionOptions } from 'node:tls';
import type { Redis } from 'ioredis';
import { backoffMs } from '../../../util/backoff.ts';
import type { Clock } from '../../../util/clock.ts';
import { codeOrMessage } from '../../../util/error-words.ts';
import type { Logger } from '../../../util/log.ts';
import { type RedisAddress, shownAddress } from '../../../util/redis-url.ts';
import { SHUTTING_DOWN, unavailable } from '../../backplane.ts';
import type { Keys } from '../keys/keys.ts';
import { isFull, isUnknownCommand, isWrongCredentials } from '../link/redis-errors.ts';
import { onTrial } from '../link/server-options.ts';
import { passingProblem, serverProblem } from '../link/server-version.ts';
import { certificateHint, tlsHint } from './certificate-hint.ts';
import { addressOfPrimary, inspectSentinels } from './inspect-sentinels.ts';
import { describeObstacles, findObstacles, isPassing, type ServedPlaces } from './rights.ts';
import { sentinelProblem } from './sentinel-problem.ts';

export interface StartCheckOptions {
  readonly address: RedisAddress;
  /** Of a server that is to be part of a Redis Cluster: what it has. Default null: a single Redis. */
  readonly served?: ServedPlaces | null;
  /** Of a master of a Redis Cluster: host and port of the server that named it. Default null: `redis.url` did. */
  readonly namedBy?: string | null;
  readonly tls?: ConnectionOptions | undefined;
  readonly keys: Keys;
  readonly commandTimeoutMs: number;
  readonly startupTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborted when the node gives up starting. */
  readonly signal: AbortSignal;
}

/** Why a node cannot start. */
export interface StartProblem {
  /** A sentence without a full stop: what is wrong and what to do. */
  readonly says: string;
  readonly passes: boolean;
}

const RETRY = { baseMs: 50, capMs: 1_000 };
const MIN_TIMEOUT_MS = 1_000;

/**
 * Resolves when a node can work. Rejects with a `BackplaneError` that says what to do. Tries at least once.
 */
export function checkStart(options: StartCheckOptions): Promise<void> {
  return untilUsable(options, () => findProblem(options));
}

export type UntilUsableOptions = Pick<StartCheckOptions, 'clock' | 'startupTimeoutMs' | 'signal' | 'log'>;

/** Tries until `find` returns null, or a problem that does not pass, or the time is over. */
export async function untilUsable(
  options: UntilUsableOptions,
  find: () => Promise<StartProblem | null>,
): Promise<void> {
  const { clock, startupTimeoutMs, signal, log } = options;
  const deadlineMs = clock.nowMs() + startupTimeoutMs;
  for (let attempt = 0; ; attempt++) {
    const problem = await find();
    if (signal.aborted) throw unavailable('connect', SHUTTING_DOWN);
    if (problem === null) return;
    const leftMs = deadlineMs - clock.nowMs();
    if (!problem.passes || leftMs <= 0) throw unavailable('connect', problem.says);
    log.debug({ reason: problem.says }, 'redis is not usable yet');
    // The last try is at the end of the time, however long the wait before it would have been.
    const waitMs = Math.min(backoffMs(attempt, RETRY), Math.ceil(leftMs));
    await delay(waitMs, undefined, { signal }).catch(ignoreAbort);
  }
}

/** What is wrong with one server, or null. */
export async function findProblem(options: StartCheckOptions): Promise<StartProblem | null> {
  const { address, tls, commandTimeoutMs } = options;
  const timeoutMs = Math.max(MIN_TIMEOUT_MS, commandTimeoutMs);
  try {
    return await onTrial({ address, tls, timeoutMs }, (redis) => examine(redis, options));
  } catch (error) {
    const failure = error as NodeJS.ErrnoException;
    const { sentinels } = address;
    if (sentinels === undefined) return connectProblem(failure, options);
    const facts = await inspectSentinels({ group: sentinels, tls, timeoutMs });
    const primary = facts.map(addressOfPrimary).find((one) => one !== null);
    return sentinelProblem(facts, sentinels.name) ?? connectProblem(failure, options, primary);
  }
}

async function examine(redis: Redis, options: StartCheckOptions): Promise<StartProblem | null> {
  const { address, keys, served = null } = options;
  const cannot = (problem: string) => `cannot use the Redis at ${shownAddress(address)}: ${problem}`;
  const info = await redis.info().catch((error: Error) => {
    // The obstacles name everything that is missing, including this.
    if (/^NOPERM\b/.test(error.message) || isUnknownCommand(error.message)) return '';
    throw error;
  });
  const wrong = info === '' ? null : serverProblem(info, served !== null);
  if (wrong !== null) return { says: cannot(wrong), passes: false };
  const passing = passingProblem(info);
  if (passing !== null) return { says: cannot(passing), passes: true };
  const obstacles = await findObstacles(redis, keys, address.database, served);
  if (obstacles.length === 0) return null;
  const says = cannot(describeObstacles(obstacles, address.username, 'it'));
  return { says, passes: obstacles.every(isPassing) };
}

/** Why a server cannot be reached, and what to do. `primary`: where Sentinels say that it is. */
export function connectProblem(
  error: NodeJS.ErrnoException,
  options: StartCheckOptions,
  primary: string | null = null,
): StartProblem {
  const { address, startupTimeoutMs, namedBy = null } = options;
  const where = primary === null ? shownAddress(address) : `${primary} (${shownAddress(address)})`;
  if (isWrongCredentials(error)) {
    const advice =
      namedBy === null
        ? 'check the user and password in redis.url'
        : 'every server of the cluster needs the user and password of redis.url';
    return { says: `cannot log in to Redis at ${where}: ${codeOrMessage(error)}: ${advice}`, passes: false };
  }
  if (isFull(error.message)) {
    const says = `Redis at ${where} has no free connection (${error.message}): raise maxclients, or disconnect other clients`;
    return { says, passes: true };
  }
  const what = namedBy === null ? `Redis at ${where}` : `the master ${where}, which ${namedBy} names,`;
  const within = `cannot reach ${what} within ${Math.round(startupTimeoutMs / 1000)} s`;
  const cause = `${within} (${codeOrMessage(error)})`;
  const certificate = address.isSecure ? certificateHint(error) : null;
  if (certificate !== null) return { says: `${cause}: ${certificate}`, passes: true };
  const hint = tlsHint(error, address.isSecure);
  const right = rightAddress(namedBy, primary);
  const rest = hint === null ? `and ${right}` : `${right}, and ${hint}`;
  return { says: `${cause}: check that it runs, ${rest}`, passes: true };
}

function rightAddress(namedBy: string | null, primary: string | null): string {
  if (namedBy !== null) return 'that this machine reaches the address that it announces';
  return primary === null ? 'that redis.url is right' : 'that this machine reaches that address';
}

function ignoreAbort(): void {
  // The loop checks the signal itself.
}
