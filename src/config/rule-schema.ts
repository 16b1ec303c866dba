/** A room rule as written in the settings. Missing fields come from the settings for all rooms. */
import { z } from 'zod';
import { choice, matching, optionalIn, trueOrFalse, wholeNumber } from './fields.ts';

export const HISTORY_MESSAGES_MAX = 100_000;
export const DAY_MS = 86_400_000;
/** Histories live in memory, here or in Redis: beyond a month, use a database. */
export const HISTORY_AGE_MAX_MS = 30 * DAY_MS;
export const HISTORY_BYTES_MAX = 1024 ** 3;

/** A pattern is a room name where `*` matches any run of characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it exists to reject control characters.
const PATTERN = /^[^\u0000-\u001f\u007f-\u009f]{1,128}$/;

const ruleHistory = z.strictObject(
  {
    messages: wholeNumber(0, HISTORY_MESSAGES_MAX).optional(),
    ageMs: wholeNumber(1000, HISTORY_AGE_MAX_MS).optional(),
    bytes: wholeNumber(0, HISTORY_BYTES_MAX).optional(),
  },
  { error: 'expected false, or a group of messages, ageMs and bytes' },
);

const ACCESS = ['anyone', 'authenticated', 'claim', 'server'] as const;
const ACCESS_DEFAULT = '`anyone`; with `defaultDeny`: `server`';

const ruleAccess = z.strictObject(
  {
    members: choice(ACCESS).optional(),
    history: choice(ACCESS).optional(),
    ack: choice(ACCESS).optional(),
    presence: choice(ACCESS).optional(),
  },
  { error: 'expected a group of members, history, ack and presence' },
);

export const ruleSchema = z.strictObject(
  {
    match: matching(PATTERN, 'a pattern of 1 to 128 characters such as chat:*'),
    history: optionalIn(
      z.union([z.literal(false), ruleHistory], {
        error: 'expected false, or a group of messages, ageMs and bytes',
      }),
      'json',
      'How much history to keep, as `{messages, ageMs, bytes}`; `false`: nothing is stored or numbered, and delivery is at most once',
      'same as `history`',
    ),
    presence: optionalIn(
      trueOrFalse(),
      'boolean',
      'Whether the room lists its members, across all nodes',
      '`true`',
    ),
    // Off: in a room of thousands, every join would cost a delivery to each of them.
    memberEvents: optionalIn(
      trueOrFalse(),
      'boolean',
      'Whether members receive joins, leaves and changes of presence data',
      '`false`',
    ),
    presenceData: optionalIn(
      trueOrFalse(),
      'boolean',
      'Whether members may have presence data, such as a status or a cursor, of `limits.presenceBytes` at most',
      '`true`',
    ),
    join: optionalIn(
      choice([...ACCESS, 'nobody']),
      'text',
      'Who may join: `anyone`, `authenticated`, `claim` (a token whose `rooms` claim grants it by name), or `server` for no client; `nobody` means the same',
      ACCESS_DEFAULT,
    ),
    publish: optionalIn(
      choice([...ACCESS, 'members']),
      'text',
      'Who may publish: `anyone`, `members`, `authenticated`, `claim`, or `server` for the HTTP API only',
      ACCESS_DEFAULT,
    ),
    access: optionalIn(
      ruleAccess,
      'json',
      'Who may do what else, as `{members, history, ack, presence}`, each `anyone`, `authenticated`, `claim` or `server`: list the members and hear who joins and leaves; read stored messages; acknowledge; bring presence data. See [permissions](permissions.md)',
      'each the same as `join`',
    ),
    publishesPerSecond: optionalIn(
      wholeNumber(0, 10_000_000),
      'whole',
      'Publishes and signals of clients a second that a node takes for each such room, twice as many at once after a pause; the HTTP API is not limited. `0`: no limit',
      'same as `limits.roomPublishesPerSecond`',
    ),
    // Off: it adds one read per join, of what the user has acknowledged.
    acks: optionalIn(
      trueOrFalse(),
      'boolean',
      'Whether to record how far each user has read; needs history',
      '`false`, and `true` in personal rooms with history',
    ),
    slowReaders: optionalIn(
      choice(['resume', 'latest', 'disconnect']),
      'text',
      'What to do with a member that reads too slowly: `resume` catches it up from history, `latest` skips to the newest message (needs history of at least one message), `disconnect` closes its connection (4008)',
      '`resume`',
    ),
  },
  { error: 'expected a rule such as {"match": "chat:*"}' },
);
