/** `roomcast token inspect`: what a token says, and whether nodes with the same settings accept it. */
import { tokenAuthenticator } from '../../auth/authenticator.ts';
import { AuthFailure, CLOCK_TOLERANCE_MS } from '../../auth/identity.ts';
import { CLIENT_VARIABLES, variable } from '../../config/environment.ts';
import { loadConfig } from '../../config/load.ts';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';
import { readToken } from '../token-file.ts';
import type { InspectOptions } from './options.ts';

/** `checked`: against the keys of the settings; false: there are none, so that only the dates count. */
interface Verdict {
  readonly accepted: boolean;
  readonly checked: boolean;
  readonly reason: string | null;
}

const MAX_TOKEN_BYTES = 1024 * 1024;

/** Returns the exit code: 0 for a token that is accepted, 3 for one that is not, 1 for what is no token. */
export async function inspectCommand(io: Io, options: InspectOptions): Promise<number> {
  const loaded = loadConfig({ file: options.config, env: io.env });
  if ('problems' in loaded) return fail(io, loaded.problems);
  try {
    const token = await tokenOf(io, options);
    const { header, claims } = partsOf(token);
    const verdict = await verdictOf(token, claims, tokenAuthenticator(loaded.config.auth));
    const expires =
      typeof claims.exp === 'number' ? { expires: new Date(claims.exp * 1000).toISOString() } : {};
    io.stdout(`${JSON.stringify({ header, claims, ...expires, ...verdict }, null, 2)}\n`);
    return verdict.accepted ? EXIT.ok : EXIT.refused;
  } catch (error) {
    return fail(io, [(error as Error).message]);
  }
}

async function tokenOf({ env, pipes }: Io, { tokenFile }: InspectOptions): Promise<string> {
  if (tokenFile !== undefined) return readToken(tokenFile);
  const given = variable(env, CLIENT_VARIABLES.token);
  if (given !== null) return given.trim();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of pipes.stdin) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_TOKEN_BYTES)
      throw new Error(`standard input has more than ${MAX_TOKEN_BYTES} bytes: no token is so long`);
  }
  return Buffer.concat(chunks).toString().trim();
}

/** Without the signature. Throws, without the text, for what is no token. */
function partsOf(token: string): { header: Record<string, unknown>; claims: Record<string, unknown> } {
  const parts = token.split('.');
  try {
    if (parts.length !== 3) throw new Error('three parts');
    const [header, claims] = parts
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));
    return { header: objectOf(header), claims: objectOf(claims) };
  } catch {
    throw new Error('this is no JSON Web Token: it must have three parts in base64url, separated by dots');
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new Error('an object');
}

async function verdictOf(
  token: string,
  { exp }: Record<string, unknown>,
  authenticator: ReturnType<typeof tokenAuthenticator>,
): Promise<Verdict> {
  if (authenticator === null) {
    const isOver = typeof exp === 'number' && exp * 1000 + CLOCK_TOLERANCE_MS < Date.now();
    const reason = isOver
      ? 'the token has expired'
      : 'the signature was not checked: no key is configured here';
    return { accepted: !isOver, checked: false, reason };
  }
  try {
    await authenticator.authenticate(token);
    return { accepted: true, checked: true, reason: null };
  } catch (error) {
    // Nothing is known against it.
    if (error instanceof AuthFailure && error.code === 'unavailable') throw error;
    return { accepted: false, checked: true, reason: (error as Error).message };
  }
}
