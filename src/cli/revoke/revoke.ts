import { systemClock } from '../../util/clock.ts';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';
import { httpUrlOf, nodeUrlsIn } from '../node-urls.ts';
import { UsageError } from '../usage-error.ts';
import { ApiProblem, askApi } from './ask-api.ts';

export interface RevokeOptions {
  readonly node?: URL;
  readonly user?: string;
  readonly jti?: string;
  /** In ms since the Unix epoch. */
  readonly issuedBefore?: 'now' | number;
  /** Milliseconds. */
  readonly for?: number;
  readonly end?: boolean;
  readonly list?: boolean;
}

/** As `GET /v1/revocations` answers. */
interface Listed {
  readonly revocations: readonly object[];
  readonly count: number;
}

const PATH = '/v1/revocations';

/** Returns the exit code. */
export async function revokeCommand(io: Io, options: RevokeOptions): Promise<number> {
  const { user, jti, end, list } = options;
  if (user === undefined && jti === undefined && list !== true) {
    return fail(io, ['name whom to revoke: --user <id>, or --jti <id> for one token'], EXIT.usage);
  }
  try {
    if (list === true) await printRevocations(io, options);
    else if (end === true) await endRevocation(io, options);
    else await revoke(io, options);
    return EXIT.ok;
  } catch (error) {
    if (error instanceof UsageError) return fail(io, [error.message], EXIT.usage);
    if (error instanceof ApiProblem) return fail(io, [error.message], error.exitCode);
    throw error;
  }
}

async function revoke(io: Io, options: RevokeOptions): Promise<void> {
  await ask(io, options, 'POST', PATH, JSON.stringify({ ...aboutOf(options), ...termsOf(options) }));
  io.stdout(`revoked ${whomOf(options)} on all nodes\n`);
}

/** A node that was cut off may not know of what it is asked to end: it is asked all the same. */
async function endRevocation(io: Io, options: RevokeOptions): Promise<void> {
  const path = `${PATH}?${new URLSearchParams(aboutOf(options))}`;
  const { count } = await list(io, options, path);
  await ask(io, options, 'DELETE', path);
  const whom = whomOf(options);
  io.stdout(
    count === 0
      ? `nothing was revoked of ${whom}, as far as this node knows\n`
      : `ended ${count === 1 ? 'the revocation' : `${count} revocations`} of ${whom} on all nodes\n`,
  );
}

async function printRevocations(io: Io, options: RevokeOptions): Promise<void> {
  const query = new URLSearchParams(aboutOf(options)).toString();
  const { revocations, count } = await list(io, options, query === '' ? PATH : `${PATH}?${query}`);
  for (const one of revocations) io.stdout(`${JSON.stringify(one)}\n`);
  if (revocations.length < count) {
    io.stderr(`${revocations.length} of ${count} are listed: ask for one with --user or --jti\n`);
  }
}

async function list(io: Io, options: RevokeOptions, path: string): Promise<Listed> {
  const answer = (await ask(io, options, 'GET', path)) as Partial<Listed>;
  if (Array.isArray(answer.revocations) && typeof answer.count === 'number') return answer as Listed;
  throw new ApiProblem('what answers there is no Roomcast node: it lists no revocations', EXIT.refused);
}

/** Of `--node`, else of the first node of `ROOMCAST_URL` that answers. */
function ask(
  { env }: Io,
  { node }: RevokeOptions,
  method: string,
  path: string,
  body?: string,
): Promise<unknown> {
  const nodes = node === undefined ? nodeUrlsIn(env).map(httpUrlOf) : [node];
  return askApi(env, nodes, { method, path, body });
}

function aboutOf({ user, jti }: RevokeOptions): Record<string, string> {
  return { ...(user !== undefined && { user }), ...(jti !== undefined && { jti }) };
}

function whomOf({ user, jti }: RevokeOptions): string {
  return user === undefined ? `the token ${jti}` : `the user ${user}`;
}

function termsOf({ issuedBefore, for: forMs }: RevokeOptions): object {
  const beforeMs = issuedBefore === 'now' ? systemClock.wallMs() : issuedBefore;
  return {
    ...(beforeMs !== undefined && { issuedBefore: beforeMs }),
    ...(forMs !== undefined && { forMs }),
  };
}
