/** `roomcast revoke`: ends tokens before their time, through the HTTP API of a node. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Io } from '../io.ts';
import { lifeOf } from '../token/options.ts';
import type { RevokeOptions } from './revoke.ts';

const HELP = `
The key of the HTTP API, with the scope admin, is read from ROOMCAST_ADMIN_KEY.

Examples:
  roomcast revoke --user eve --for 15m                    block a user, whatever token comes
  roomcast revoke --user ann --issued-before now          sign out everywhere; tokens issued from now on are accepted
  roomcast revoke --jti login-17 --for 15m                end one token
  roomcast revoke --user eve --end                        end a revocation`;

export function addRevoke(program: Command, io: Io, ended: (exitCode: number) => void): void {
  program
    .command('revoke')
    .description('end the tokens of a user, or one token, on all nodes')
    .option('--node <url>', 'base URL of a node', urlOf, new URL('http://localhost:8080'))
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
    .option('--end', 'end the revocation')
    .addHelpText('after', HELP)
    .action(async (options: RevokeOptions) => {
      const { revokeCommand } = await import('./revoke.ts');
      ended(await revokeCommand(io, options));
    });
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
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
