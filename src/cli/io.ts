/** What a command touches of the outside, handed in, so that tests can run commands in their own process. */
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import type { Logger } from '../util/log.ts';

export interface Io {
  readonly env: Environment;
  /** Whether standard output is a terminal. */
  readonly terminal: boolean;
  /** The same of standard error. */
  readonly stderrTerminal: boolean;
  /** Text as it is: the line end is the caller's. */
  stdout(text: string): void;
  stderr(text: string): void;
  /** Runs a node. Resolves when it is up, or when it has shut down; rejects when it cannot start. */
  serve(config: Config, log: Logger): Promise<void>;
}

/** What is printed, one per line, on standard error; the command then ends with this exit code. */
export function fail(io: Io, lines: readonly string[]): number {
  for (const line of lines) io.stderr(`${line}\n`);
  return 1;
}
