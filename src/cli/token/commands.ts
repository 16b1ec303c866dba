/** `roomcast token`: tokens for development and scripts. */
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { addInspectOptions, addMintOptions, type InspectOptions, type MintOptions } from './options.ts';

const MINT_HELP = `
It signs with the settings of the nodes: auth.secret (ROOMCAST_AUTH_SECRET), or the private key of --key-file.

Examples:
  roomcast token mint --user ann
  roomcast token mint --user ann --room 'chat:*' --room news=join --expires-in 12h
  roomcast token mint --config roomcast.yaml --key-file token-key.pem --user ann --room 'chat:*'
  ROOMCAST_TOKEN=$(roomcast token mint --user ann) roomcast sub chat:lobby`;

const INSPECT_HELP = `
It checks the token against the settings of the nodes, where they are here. The token itself is not printed.

Examples:
  roomcast token mint --user ann | roomcast token inspect

Exit codes: 0 accepted, 1 not a token, 3 refused.`;

export function addToken(program: Command, io: Io, ended: (exitCode: number) => void): void {
  const token = program.command('token').description('make or read a token').helpCommand(false);
  addMintOptions(token.command('mint').description('print a signed token'))
    .addHelpText('after', MINT_HELP)
    .action(async (options: MintOptions) => {
      const { mintCommand } = await import('./mint.ts');
      ended(await mintCommand(io, options));
    });
  addInspectOptions(
    token.command('inspect').description('print what a token says, and whether it is accepted'),
  )
    .addHelpText('after', INSPECT_HELP)
    .action(async (options: InspectOptions) => {
      const { inspectCommand } = await import('./inspect.ts');
      ended(await inspectCommand(io, options));
    });
}
