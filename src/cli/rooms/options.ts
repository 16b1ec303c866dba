/** The options that all commands of a client share. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Position } from '../../client/public.ts';
import { positive, upTo } from '../arguments.ts';
import { isNodeUrl } from '../node-urls.ts';

export interface LinkOptions {
  readonly url?: readonly string[];
  readonly token?: string;
  readonly tokenFile?: string;
  /** Seconds. */
  readonly connectTimeout: number;
  /** Seconds. */
  readonly timeout?: number;
  readonly quiet?: boolean;
}

const MAX_SECONDS = 10_000_000;
const CONNECT_TIMEOUT_SECONDS = 10;

export function addLinkOptions(command: Command): Command {
  return command
    .option(
      '--url <url>',
      'of a node; may be repeated, and they are tried in turn (default: ROOMCAST_URL, else ws://localhost:8080)',
      appendedUrl,
    )
    .addOption(
      new Option(
        '--token <token>',
        'token to connect with. Other users of this machine can see it: prefer ROOMCAST_TOKEN or --token-file',
      ).conflicts('tokenFile'),
    )
    .option(
      '--token-file <file>',
      'read the token from a file, again before it expires (default: ROOMCAST_TOKEN)',
    )
    .option(
      '--connect-timeout <seconds>',
      'give up after so long without a connection, pub also without an acknowledgement while the node cannot store; 0: never. sub gives up only before its first one',
      upTo(MAX_SECONDS),
      CONNECT_TIMEOUT_SECONDS,
    )
    .option('--timeout <seconds>', 'end after so long with exit code 124, whatever is going on', seconds)
    .option('-q, --quiet', 'say nothing about lost connections and what is tried again');
}

export const seconds = positive(MAX_SECONDS);

/** `http` is accepted for `ws`, as in the client library. */
function appendedUrl(text: string, before: readonly string[] = []): string[] {
  if (isNodeUrl(text)) return [...before, text];
  throw new InvalidArgumentError('It must be a URL such as ws://localhost:8080.');
}

/** `epoch,offset`, as the output shows them. */
export function position(text: string): Position {
  const [, epoch, offset] = /^([^,\s]+),(\d{1,16})$/.exec(text) ?? [];
  if (epoch !== undefined && Number.isSafeInteger(Number(offset))) return [epoch, Number(offset)];
  throw new InvalidArgumentError('It must be an epoch and an offset, such as h8ak4ujy,42.');
}
