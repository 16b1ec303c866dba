/** `roomcast apikey`: keys of the HTTP API. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { SCOPES, type Scope } from '../../config/groups/api-keys.ts';
import type { Io } from '../io.ts';
import type { CreateOptions } from './create-options.ts';

const CREATE_HELP = `
It prints the key once, for the program that calls the HTTP API, and its entry for apiKeys in the settings of the nodes,
which holds only the hash.

Examples:
  roomcast apikey create --name billing --scope publish --room 'invoice:*'
  roomcast apikey create --name dashboard --scope read
  roomcast apikey create --name moderation --scope read --scope admin --json`;

const HASH_HELP = `
It reads the key from standard input, so that it is in no history of a shell.

Examples:
  roomcast apikey hash < key.txt`;

export function addApiKey(program: Command, io: Io, ended: (exitCode: number) => void): void {
  const apikey = program.command('apikey').description('make a key of the HTTP API').helpCommand(false);
  apikey
    .command('create')
    .description('print a new key and its entry for the settings of nodes')
    .requiredOption('--name <name>', 'what logs and errors call it')
    .addOption(scopeOption())
    .option(
      '--room <pattern>',
      'a room that it is for, such as "chat:*". May be repeated; without any: all',
      appended,
    )
    .option('--json', 'print JSON instead of YAML')
    .addHelpText('after', CREATE_HELP)
    .action(async (options: CreateOptions) => {
      const { createKeyCommand } = await import('./create.ts');
      ended(createKeyCommand(io, options));
    });
  apikey
    .command('hash')
    .description('print the hash of a key that exists')
    .addHelpText('after', HASH_HELP)
    .action(async () => {
      const { hashKeyCommand } = await import('./hash.ts');
      ended(await hashKeyCommand(io));
    });
}

function scopeOption(): Option {
  const says = `what it may be used for: ${SCOPES.join(', ')}. May be repeated; without any: publish`;
  return new Option('--scope <scope>', says).argParser((text: string, before: readonly Scope[] = []) => [
    ...before,
    scopeOf(text),
  ]);
}

function scopeOf(text: string): Scope {
  const scope = SCOPES.find((known) => known === text);
  if (scope !== undefined) return scope;
  throw new InvalidArgumentError(`It must be one of ${SCOPES.join(', ')}.`);
}

function appended(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}
