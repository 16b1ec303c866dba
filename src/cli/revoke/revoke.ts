import { CLIENT_VARIABLES, variable } from '../../config/environment.ts';
import { systemClock } from '../../util/clock.ts';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';

export interface RevokeOptions {
  readonly node: URL;
  readonly user?: string;
  readonly jti?: string;
  /** In ms since the Unix epoch. */
  readonly issuedBefore?: 'now' | number;
  /** Milliseconds. */
  readonly for?: number;
  readonly end?: boolean;
}

const TIMEOUT_MS = 10_000;

/** Returns the exit code. */
export async function revokeCommand(io: Io, options: RevokeOptions): Promise<number> {
  const { node, user, jti, end } = options;
  if (user === undefined && jti === undefined) {
    return fail(io, ['name whom to revoke: --user <id>, or --jti <id> for one token'], EXIT.usage);
  }
  const about = { ...(user !== undefined && { user }), ...(jti !== undefined && { jti }) };
  const url = new URL('/v1/revocations', node);
  if (end === true) url.search = new URLSearchParams(about).toString();
  const body = end === true ? undefined : JSON.stringify({ ...about, ...termsOf(options) });
  const problem = await problemOf(io, url, body);
  if (problem !== null) return fail(io, [problem.says], problem.exitCode);
  const whom = user === undefined ? `the token ${jti}` : `the user ${user}`;
  io.stdout(`${end === true ? 'ended the revocation of' : 'revoked'} ${whom} on all nodes\n`);
  return EXIT.ok;
}

function termsOf({ issuedBefore, for: forMs }: RevokeOptions): object {
  const beforeMs = issuedBefore === 'now' ? systemClock.wallMs() : issuedBefore;
  return {
    ...(beforeMs !== undefined && { issuedBefore: beforeMs }),
    ...(forMs !== undefined && { forMs }),
  };
}

interface Problem {
  readonly says: string;
  readonly exitCode: number;
}

/** Null if the node did it. `body` undefined: the revocation ends. */
async function problemOf(io: Io, url: URL, body: string | undefined): Promise<Problem | null> {
  const key = variable(io.env, CLIENT_VARIABLES.adminKey);
  const headers = {
    'Content-Type': 'application/json',
    ...(key !== null && { Authorization: `Bearer ${key}` }),
  };
  const request = body === undefined ? { method: 'DELETE' } : { method: 'POST', body };
  try {
    const answer = await fetch(url, { ...request, headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.ok) return null;
    const { error } = (await answer.json().catch(() => ({}))) as {
      error?: { code: string; message: string };
    };
    const says = error === undefined ? 'nothing that could be read' : `${error.code}: ${error.message}`;
    const hint = key === null ? `; set ${CLIENT_VARIABLES.adminKey}` : '';
    return { says: `${url.origin} answered ${answer.status}: ${says}${hint}`, exitCode: EXIT.refused };
  } catch (error) {
    const { cause, message } = error as Error;
    const why = cause instanceof Error ? cause.message : message;
    return { says: `cannot reach ${url.origin}: ${why}`, exitCode: EXIT.unavailable };
  }
}
