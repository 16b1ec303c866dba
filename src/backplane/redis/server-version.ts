/** Whether a Redis can run what we send: `SET` with both `NX` and `GET` came with version 7. */
import { BackplaneError } from '../backplane.ts';
import type { Link } from './link.ts';

const OLDEST_MAJOR = 7;

/** Rejects with a `BackplaneError` for a Redis that is too old. */
export async function checkVersion(link: Link): Promise<void> {
  const problem = versionProblem(await link.redis.info('server'));
  if (problem === null) return;
  throw new BackplaneError('unavailable', 'connect', `cannot use the Redis at ${link.address}: ${problem}`);
}

/** What is wrong with the server that answered INFO so, or null. Valkey reports the Redis version it is equal to. */
export function versionProblem(info: string): string | null {
  const version = /^redis_version:(\S+)/m.exec(info)?.[1];
  if (version === undefined) return 'it does not tell its version';
  if (Number.parseInt(version, 10) >= OLDEST_MAJOR) return null;
  return `it is version ${version}, and version ${OLDEST_MAJOR}.0 or later is needed`;
}
