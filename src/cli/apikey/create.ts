/** `roomcast apikey create`: a random key, and what nodes need to know of it. */
import { createHash, randomBytes } from 'node:crypto';
import { stringify } from 'yaml';
import { loadConfig } from '../../config/load.ts';
import { EXIT } from '../exit-codes.ts';
import { fail, type Io } from '../io.ts';
import type { CreateOptions } from './create-options.ts';

/** So that scanners for secrets in source code can find it. */
const PREFIX = 'rck_';
const KEY_BYTES = 32;

/** Returns the exit code. */
export function createKeyCommand(io: Io, { name, scope, room, json }: CreateOptions): number {
  const key = PREFIX + randomBytes(KEY_BYTES).toString('base64url');
  const rooms = room === undefined ? {} : { rooms: [...room] };
  const entry = { name, sha256: sha256Of(key), scopes: [...new Set(scope ?? ['publish'])], ...rooms };
  // The node would refuse it with the same words.
  const loaded = loadConfig({ settings: { apiKeys: [entry] } as never, env: {} });
  if ('problems' in loaded) return fail(io, loaded.problems, EXIT.usage);
  io.stdout(json === true ? `${JSON.stringify({ key, apiKeys: [entry] })}\n` : asYaml(key, entry));
  return EXIT.ok;
}

export function sha256Of(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

function asYaml(key: string, entry: object): string {
  return [
    '# For the program that calls the HTTP API. It is shown only here.',
    `key: ${key}`,
    '',
    '# For the settings file of the nodes; then send them SIGHUP.',
    stringify({ apiKeys: [entry] }),
  ].join('\n');
}
