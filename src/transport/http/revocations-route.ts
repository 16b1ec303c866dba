/** `/v1/revocations`: users and tokens that may not be here any more. */
import { CLOCK_TOLERANCE_MS, tokenIdProblem } from '../../auth/identity.ts';
import type { Revoked } from '../../node/revoked.ts';
import type { ServerApi } from '../../node/server-api.ts';
import type { Exchange } from './exchange.ts';
import { parseLimit } from './history-route.ts';
import { HttpError } from './http-error.ts';
import { readFields } from './request-body.ts';
import { userProblem } from './users-route.ts';

const DAY_MS = 86_400_000;
/** Longer than tokens should live; whoever issues longer ones says so. */
const STANDARD_FOR_MS = 30 * DAY_MS;
const MAX_FOR_MS = 366 * DAY_MS;
const MAX_LISTED = 1000;
/** A smaller number was meant in seconds. */
const FIRST_ISSUED_MS = Date.UTC(2001, 0, 1);

/** What a query names: at most one of the two. */
export interface RevocationQuery {
  readonly user: string | undefined;
  readonly jti: string | undefined;
}

/** `POST /v1/revocations` `{user or jti, issuedBefore?, forMs?}` */
export async function revokeRoute(exchange: Exchange, server: ServerApi, bodyBytes: number): Promise<void> {
  const names = ['user', 'jti', 'issuedBefore', 'forMs'] as const;
  const { user, jti, issuedBefore, forMs } = await readFields(exchange, bodyBytes, names);
  const revoked = revokedBy('the body', user ?? undefined, jti ?? undefined);
  if (revoked === null) throw new HttpError('bad_request', 'the body: name a user or the jti of a token');
  const older = olderThan(issuedBefore, revoked);
  // A token is accepted for that long after its end.
  await server.revoke({ ...revoked, ...older }, checkedForMs(forMs) + CLOCK_TOLERANCE_MS);
  exchange.reply(200, {});
}

/** `DELETE /v1/revocations?user=` or `?jti=` */
export async function endRevocationRoute(
  exchange: Exchange,
  server: ServerApi,
  { user, jti }: RevocationQuery,
): Promise<void> {
  const revoked = revokedBy('the query', user, jti);
  if (revoked === null)
    throw new HttpError('bad_request', 'the query must name a user or the jti of a token');
  await server.endRevocation(revoked);
  exchange.reply(200, {});
}

/** `GET /v1/revocations?user=&jti=&limit=` */
export function revocationsRoute(
  exchange: Exchange,
  server: ServerApi,
  { user, jti, limit }: RevocationQuery & { readonly limit: string | undefined },
): void {
  const all = server.listRevocations(revokedBy('the query', user, jti));
  const most = Math.min(parseLimit(limit) ?? MAX_LISTED, MAX_LISTED);
  const revocations = all.slice(0, most).map(({ kind, id, issuedBeforeMs, leftMs }) => {
    const older = issuedBeforeMs === undefined ? {} : { issuedBefore: issuedBeforeMs };
    return { [kind === 'user' ? 'user' : 'jti']: id, ...older, leftMs: Math.ceil(leftMs) };
  });
  const truncated = revocations.length < all.length ? { truncated: true } : {};
  exchange.reply(200, { revocations, count: all.length, ...truncated });
}

/** Null if neither is named. Throws `HttpError`. */
function revokedBy(where: string, user: unknown, jti: unknown): Revoked | null {
  if (user !== undefined && jti !== undefined) {
    throw new HttpError('bad_request', `${where}: name a user or a jti, not both`);
  }
  if (user !== undefined) return { kind: 'user', id: named(where, 'user', user, userProblem) };
  return jti === undefined ? null : { kind: 'token', id: named(where, 'jti', jti, tokenIdProblem) };
}

function named(
  where: string,
  field: string,
  value: unknown,
  problemOf: (text: string) => string | null,
): string {
  if (typeof value !== 'string') throw new HttpError('bad_request', `${where}: ${field} must be a string`);
  const problem = problemOf(value);
  if (problem !== null) throw new HttpError('bad_request', `${where}: ${field} ${problem}`);
  return value;
}

/** Only tokens of a user that were issued before: in ms since the Unix epoch. */
function olderThan(issuedBefore: unknown, { kind }: Revoked): Pick<Revoked, 'issuedBeforeMs'> {
  if (issuedBefore === undefined || issuedBefore === null) return {};
  if (kind === 'token') {
    throw new HttpError('bad_request', 'the body: issuedBefore is for a user; a jti is of one token');
  }
  if (Number.isSafeInteger(issuedBefore) && (issuedBefore as number) > FIRST_ISSUED_MS) {
    return { issuedBeforeMs: issuedBefore as number };
  }
  const got = typeof issuedBefore === 'number' ? `, got ${issuedBefore}` : '';
  const says = 'issuedBefore must be a time in ms since the Unix epoch, such as 1790000000000';
  throw new HttpError('bad_request', `the body: ${says}${got}`);
}

function checkedForMs(forMs: unknown): number {
  if (forMs === undefined || forMs === null) return STANDARD_FOR_MS;
  const isWhole = typeof forMs === 'number' && Number.isSafeInteger(forMs);
  if (isWhole && forMs >= 1 && forMs <= MAX_FOR_MS) return forMs;
  const says = `forMs must be a whole number from 1 to ${MAX_FOR_MS} (366 days)`;
  throw new HttpError('bad_request', `the body: ${says}${typeof forMs === 'number' ? `, got ${forMs}` : ''}`);
}
