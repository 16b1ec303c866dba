/** `roomcast revoke`: ends tokens before their time, through the HTTP API of a node. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Io } from '../io.ts';
import { httpUrlOf, isNodeUrl } from '../node-urls.ts';
import { lifeOf } from '../token/options.ts';
import type { RevokeOptions } from './revoke.ts';

const HELP = `
The key of the HTTP API, with the scope admin, is read from ROOMCAST_ADMIN_KEY.

Examples:
  roomcast revoke --user eve --for 15m                    block a user, whatever token comes
  roomcast revoke --user ann --issued-before now          sign out everywhere; tokens issued from now on are accepted
  roomcast revoke --jti login-17 --for 15m                end one token
  roomcast revoke --user eve --end                        end what is revoked of a user
  roomcast revoke --list                                  print what is revoked now, as JSON lines`;

export function addRevoke(program: Command, io: Io, ended: (exitCode: number) => void): void {
  program
    .command('revoke')
    .description('end the tokens of a user, or one token, on all nodes')
    .option('--node <url>', 'of a node (default: ROOMCAST_URL, else http://localhost:8080)', urlOf)
    .addOption(new Option('--user <id>', 'the user that tokens name (sub)').conflicts('jti'))
    .option('--jti <id>', 'the id of one token')
    .addOption(
      new Option(
        '--issued-before <time>',
        'only tokens of the user issued before (iat): now, or a time such as 2026-05-01T12:00:00Z',
      )
        .argParser(timeOf)
        .conflicts(['jti', 'end']),
    )
    .addOption(
      new Option(
        '--for <time>',
        'such as 15m, 12h, 30d: the rest of the life of the longest token (default: 30d)',
      )
        .argParser(lengthOf)
        .conflicts('end'),
    )
    .option('--end', 'end all that is revoked of the user, or the revocation of the token')
    .addOption(
      new Option('--list', 'print what is revoked now, or what is of --user or --jti').conflicts([
        'end',
        'for',
        'issuedBefore',
      ]),
    )
    .addHelpText('after', HELP)
    .action(async (options: RevokeOptions) => {
      const { revokeCommand } = await import('./revoke.ts');
      ended(await revokeCommand(io, options));
    });
}

function urlOf(text: string): URL {
  if (isNodeUrl(text)) return httpUrlOf(text);
  throw new InvalidArgumentError('It must be a URL such as http://localhost:8080.');
}

/** `now`, or a time in ms since the Unix epoch. */
function timeOf(text: string): 'now' | number {
  if (text === 'now') return text;
  const ms = Date.parse(text);
  if (!Number.isNaN(ms)) return ms;
  throw new InvalidArgumentError('It must be now, or a time such as 2026-05-01T12:00:00Z.');
}

function lengthOf(text: string): number {
  const ms = lifeOf(text);
  if (ms !== null) return ms;
  throw new InvalidArgumentError('It must end: such as 15m, 12h or 30d.');
}
