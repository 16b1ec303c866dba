/** `roomcast apikey hash`: the SHA-256 of a key, as the settings of nodes may have it. */
import { keyProblem } from '../../config/groups/api-keys.ts';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';
import { sha256Of } from './create.ts';

const MAX_BYTES = 16_384;

/** Returns the exit code. */
export async function hashKeyCommand(io: Io): Promise<number> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of io.pipes.stdin) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_BYTES)
      return fail(io, [`standard input has more than ${MAX_BYTES} bytes: no key is so long`]);
  }
  const key = Buffer.concat(chunks).toString().trim();
  const problem = keyProblem(key);
  if (problem !== null) return fail(io, [`this is no key: ${problem}`]);
  io.stdout(`${sha256Of(key)}\n`);
  return EXIT.ok;
}
