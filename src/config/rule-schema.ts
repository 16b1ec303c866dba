/** A room rule, as it is written in the settings: what is left out comes from the settings for all rooms. */
import { z } from 'zod';
import { choice, matching, optionalIn, trueOrFalse, wholeNumber } from './fields.ts';

export const HISTORY_MESSAGES_MAX = 100_000;
export const DAY_MS = 86_400_000;
/** Histories live in memory, here or in Redis: beyond a month it is a database that is wanted. */
export const HISTORY_AGE_MAX_MS = 30 * DAY_MS;

/** A pattern is a room name in which `*` stands for any run of characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses.
const PATTERN = /^[^\u0000-\u001f\u007f-\u009f]{1,128}$/;

const ruleHistory = z.strictObject(
  {
    messages: wholeNumber(0, HISTORY_MESSAGES_MAX).optional(),
    ageMs: wholeNumber(1000, HISTORY_AGE_MAX_MS).optional(),
  },
  { error: 'expected false, or a group of messages and ageMs' },
);

export const ruleSchema = z.strictObject(
  {
    match: matching(PATTERN, 'a pattern of 1 to 128 characters such as chat:*'),
    history: optionalIn(
      z.union([z.literal(false), ruleHistory], { error: 'expected false, or a group of messages and ageMs' }),
      'json',
      'How much is kept, as `{messages, ageMs}`; `false`: nothing is stored or numbered, delivery is at most once',
      'as in `history`',
    ),
    presence: optionalIn(
      trueOrFalse(),
      'boolean',
      'Whether a room knows who is in it, on any node',
      '`true`',
    ),
    // Off: in a room of thousands every arrival would cost a delivery to each of them.
    memberEvents: optionalIn(
      trueOrFalse(),
      'boolean',
      'Whether members are told who joins and leaves',
      '`false`',
    ),
    join: optionalIn(
      choice(['anyone', 'authenticated', 'nobody']),
      'text',
      'Who may join: `anyone`, `authenticated` or `nobody`',
      '`anyone`',
    ),
    publish: optionalIn(
      choice(['anyone', 'members', 'authenticated', 'server']),
      'text',
      'Who may publish: `anyone`, `members`, `authenticated`, or `server` for the HTTP API alone',
      '`anyone`',
    ),
    // Off: where it is on, each join of a user costs a read of what the user has acknowledged.
    acks: optionalIn(
      trueOrFalse(),
      'boolean',
      'Whether it is kept how far each user has read; needs history',
      '`false`, and `true` in personal rooms with history',
    ),
    slowReaders: optionalIn(
      choice(['resume', 'latest', 'disconnect']),
      'text',
      'A member that reads too slowly: `resume` catches it up from history, `latest` skips to the newest message (needs history, of one message at least), `disconnect` closes it (4008)',
      '`resume`',
    ),
  },
  { error: 'expected a rule such as {"match": "chat:*"}' },
);
