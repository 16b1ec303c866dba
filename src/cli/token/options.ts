/** The options of `roomcast token`. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Grant } from '../../auth/mint.ts';
import { RIGHTS, RIGHTS_BESIDE_JOIN } from '../../auth/rights.ts';
import { addConfigOption } from '../options.ts';

export interface MintOptions {
  readonly config?: string;
  readonly user: string;
  /** Milliseconds; null for a token that does not expire. */
  readonly expiresIn: number | null;
  readonly room?: readonly Grant[];
  readonly info?: { readonly value: unknown };
  /** `jti`. */
  readonly id?: string;
  readonly keyFile?: string;
  readonly keyId?: string;
}

export interface InspectOptions {
  readonly config?: string;
  readonly tokenFile?: string;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DEFAULT_LIFE = '15m';

export function addMintOptions(command: Command): Command {
  return addConfigOption(command)
    .requiredOption('--user <id>', 'the user that it names (sub)')
    .option(
      '--room <pattern[=rights]>',
      `a grant: "chat:*" to join and publish, "news=join" or "inbox=publish" for one of them. The rights ${RIGHTS_BESIDE_JOIN.join(', ')} follow join; name one to grant it by name, or with a minus to refuse it: "news=join,-members". May be repeated; the first that matches a room counts. Without any, every room is allowed`,
      appendedGrant,
    )
    .addOption(
      new Option('--expires-in <time>', 'such as 90s, 15m, 12h, 30d, or never')
        .argParser(lifeOf)
        .default(lifeOf(DEFAULT_LIFE), DEFAULT_LIFE),
    )
    .option('--info <json>', 'what other members see beside the user', (text) => ({ value: jsonOf(text) }))
    .option('--id <jti>', 'its own id, which the HTTP API can revoke it by')
    .option('--key-file <file>', 'sign with this private key (PEM) instead of auth.secret')
    .option('--key-id <id>', 'name of the key in the key set of nodes (kid); with --key-file');
}

export function addInspectOptions(command: Command): Command {
  return addConfigOption(command).option(
    '--token-file <file>',
    'read the token from a file (default: ROOMCAST_TOKEN, else standard input)',
  );
}

/** Milliseconds; null for `never`. */
export function lifeOf(text: string): number | null {
  if (text === 'never') return null;
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(number) * UNIT_MS[unit ?? '']!;
  if (ms > 0) return ms;
  throw new InvalidArgumentError('It must be a number and one of s, m, h and d, such as 15m; or never.');
}

function appendedGrant(text: string, before: readonly Grant[] = []): Grant[] {
  return [...before, grantOf(text)];
}

/** One right after a pattern, a minus before it to refuse it. */
const RIGHT = `-?(?:${RIGHTS.join('|')})`;
const GRANT = new RegExp(`^(.+)=(${RIGHT}(?:,${RIGHT})*)$`);

export function grantOf(text: string): Grant {
  const [, match = text, list = 'join,publish'] = GRANT.exec(text) ?? [];
  const rights = list.split(',');
  const named = rights.map((right) => [right.replace('-', ''), !right.startsWith('-')]);
  return { match, join: false, publish: false, ...Object.fromEntries(named) };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('It must be JSON, such as \'{"name":"Ann"}\'.');
  }
}
