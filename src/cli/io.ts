/**
 * Everything a command needs from outside, passed in, so that tests can run commands in their own process.
 */
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import type { LoadResult } from '../config/load.ts';
import type { Logger } from '../util/log.ts';
import { EXIT } from './exit-codes.ts';
import type { Pipes } from './pipes.ts';

export interface Io {
  readonly env: Environment;
  /** Whether standard output is a terminal. */
  readonly terminal: boolean;
  /** The same for standard error. */
  readonly stderrTerminal: boolean;
  /** Writes text unchanged: the caller adds the newline. */
  stdout(text: string): void;
  stderr(text: string): void;
  readonly pipes: Pipes;
  /**
   * Runs a node. Resolves when it is up, or has shut down; rejects if it cannot start. `read` reads the settings
   * again.
   */
  serve(config: Config, log: Logger, read: () => LoadResult): Promise<void>;
}

/** Prints lines on standard error; the command then ends with the returned exit code. */
export function fail(io: Io, lines: readonly string[], exitCode: number = EXIT.failed): number {
  for (const line of lines) io.stderr(`${line}\n`);
  return exitCode;
}
