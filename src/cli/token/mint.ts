/** `roomcast token mint`: prints a token that nodes with the same settings accept. */
import { tokenIdProblem } from '../../auth/identity.ts';
import { mintToken, privateSigningKey, type SigningKey, secretSigningKey } from '../../auth/mint.ts';
import type { Config } from '../../config/config.ts';
import { loadConfig } from '../../config/load.ts';
import { utf8Length } from '../../protocol/limits.ts';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';
import type { MintOptions } from './options.ts';

const MAX_USER_BYTES = 100;

/** Returns the exit code. */
export async function mintCommand(io: Io, options: MintOptions): Promise<number> {
  const loaded = loadConfig({ file: options.config, env: io.env });
  if ('problems' in loaded) return fail(io, loaded.problems);
  const { user, expiresIn, room: rooms, info, id, keyFile, keyId } = options;
  if (user === '' || utf8Length(user) > MAX_USER_BYTES) {
    return fail(io, [`--user must be 1 to ${MAX_USER_BYTES} bytes`], EXIT.usage);
  }
  const idProblem = id === undefined ? null : tokenIdProblem(id);
  if (idProblem !== null) return fail(io, [`--id ${idProblem}`], EXIT.usage);
  if (keyId !== undefined && keyFile === undefined)
    return fail(io, ['--key-id is for --key-file'], EXIT.usage);
  const nowMs = Date.now();
  try {
    const token = await mintToken(
      {
        user,
        expiresAtMs: expiresIn === null ? null : nowMs + expiresIn,
        ...(info !== undefined && { info: info.value }),
        ...(id !== undefined && { tokenId: id }),
        ...(rooms !== undefined && { rooms }),
      },
      signingKey(loaded.config, options),
      { ...loaded.config.auth, nowMs },
    );
    io.stdout(`${token}\n`);
    if (rooms === undefined) io.stderr(`${unrestricted(loaded.config)}\n`);
    return EXIT.ok;
  } catch (error) {
    return fail(io, [(error as Error).message]);
  }
}

/** What a token without grants may do. */
function unrestricted({ defaultDeny }: Config): string {
  return defaultDeny
    ? 'this token may do nothing, because defaultDeny is on: grant rooms with --room'
    : 'this token may do in every room what its rule permits: --room restricts it';
}

function signingKey({ auth }: Config, { keyFile, keyId }: MintOptions): SigningKey {
  if (keyFile !== undefined) return privateSigningKey(keyFile, auth.algorithms, keyId ?? null);
  if (auth.secret !== null) return secretSigningKey(auth.secret, auth.algorithms);
  throw new Error(
    'there is nothing to sign with: set ROOMCAST_AUTH_SECRET or auth.secret as the nodes have it, or pass --key-file',
  );
}
