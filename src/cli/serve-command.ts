/** `roomcast serve`: from settings to a running node. */

import { loadStartable } from '../app/start-problems.ts';
import type { Flags } from '../config/flags.ts';
import { sentenceOf } from '../util/error-words.ts';
import { fail, type Io } from './io.ts';
import { createLogger, withoutSecrets } from './logger.ts';

/** Returns the exit code: 0 once `io.serve` has resolved. */
export async function serveCommand(io: Io, { config: file, ...flags }: Flags): Promise<number> {
  const read = () => loadStartable({ file: typeof file === 'string' ? file : undefined, env: io.env, flags });
  const result = read();
  if ('problems' in result) return fail(io, result.problems);
  const { log } = result.config;
  try {
    await io.serve(result.config, createLogger(log, { terminal: io.terminal }), read);
    return 0;
  } catch (error) {
    return fail(io, [withoutSecrets(log.level === 'debug' ? stackOf(error) : sentenceOf(error))]);
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
