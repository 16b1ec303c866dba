/** `roomcast config`: checks and prints a configuration without running it. */
import { stringify } from 'yaml';
import { loadStartable } from '../app/start-problems.ts';
import { describeConfig } from '../config/describe.ts';
import { loadConfig } from '../config/load.ts';
import { maskSecrets } from '../config/mask.ts';
import { fail, type Io } from './io.ts';

export interface ConfigOptions {
  readonly config?: string;
}

/** Says whether a node would start with this configuration. Returns the exit code. */
export function checkConfig(io: Io, { config: file }: ConfigOptions): number {
  const result = loadStartable({ file, env: io.env });
  if ('problems' in result) return fail(io, result.problems);
  io.stdout('configuration is valid\n');
  return 0;
}

/**
 * Prints the settings that a node would run with, from all sources, without secrets. Returns the exit code.
 */
export function printConfig(io: Io, { config: file }: ConfigOptions): number {
  const result = loadConfig({ file, env: io.env });
  if ('problems' in result) return fail(io, result.problems);
  io.stdout(stringify(maskSecrets(result.config), { aliasDuplicateObjects: false }));
  return 0;
}

/** Prints the tables of docs/configuration.md. Returns the exit code. */
export function printDocs(io: Io): number {
  io.stdout(`${describeConfig()}\n`);
  return 0;
}
