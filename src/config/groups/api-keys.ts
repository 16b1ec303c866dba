/** Keys of the HTTP API, and of the metrics. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { choice, listOf, matching, optionalJudged } from '../fields.ts';

/** What a key may be used for. Scopes do not include each other. */
export const SCOPES = ['publish', 'read', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** A random key of this length cannot be guessed over the network, whatever it is made of. */
export const MIN_KEY_CHARACTERS = 16;

// ASCII only: HTTP libraries differ in how they send other characters in a header, and uWebSockets.js trims
// them at the ends.
const ASCII = /^[!-+\--~]+$/;
const KEY = new RegExp(`^[!-+\\--~]{${MIN_KEY_CHARACTERS},}$`);
const KEY_EXPECTED = 'a key of printable ASCII without spaces and commas';
const KEY_OR_GROUP = `${KEY_EXPECTED}, or a group of name, key or sha256, scopes and rooms`;
// biome-ignore lint/suspicious/noControlCharactersInRegex: it exists to reject control characters.
const PATTERN = /^[^\u0000-\u001f\u007f-\u009f]{1,128}$/;

/** What is wrong with a key, without the key: `expected a key ...`; null for a good one. */
export function keyProblem(key: string): string | null {
  if (!ASCII.test(key)) return `expected ${KEY_EXPECTED}`;
  if (KEY.test(key)) return null;
  const says = `expected at least ${MIN_KEY_CHARACTERS} characters, got ${key.length}`;
  return `${says}: a short key can be guessed. "roomcast apikey create" makes one`;
}

const plainKey = z.string({ error: `expected ${KEY_EXPECTED}` }).superRefine((key, context) => {
  const problem = keyProblem(key);
  if (problem !== null) context.addIssue({ code: 'custom', message: problem });
});

const keyGroup = z
  .strictObject(
    {
      name: matching(/^[\w.-]{1,64}$/, 'a name of 1 to 64 letters, digits or any of _ . -'),
      key: plainKey.optional(),
      sha256: matching(
        /^[0-9a-f]{64}$/i,
        'the SHA-256 of a key as 64 hexadecimal digits, as "roomcast apikey create" prints it',
      ).optional(),
      scopes: z
        .array(choice(SCOPES), { error: `expected a list of ${SCOPES.join(', ')}` })
        .min(1, { error: `expected at least one of ${SCOPES.join(', ')}` }),
      rooms: z
        .array(matching(PATTERN, 'a pattern of 1 to 128 characters such as chat:*'), {
          error: 'expected a list of patterns such as chat:*',
        })
        .min(1, { error: 'expected at least one pattern; leave rooms out for all rooms' })
        .optional(),
    },
    { error: `expected ${KEY_OR_GROUP}` },
  )
  .refine(({ key, sha256 }) => (key === undefined) !== (sha256 === undefined), {
    error: 'expected either key or sha256',
  });

/** Members of a key in a settings file, for suggestions. */
export const KEY_FIELDS: readonly string[] = Object.keys(keyGroup.shape);

/** The problem of text is that of a key, not that it is no group. */
const KEY_ITEM = z.union([plainKey, keyGroup], {
  error: ({ input }) => (typeof input === 'string' ? keyProblem(input) : null) ?? `expected ${KEY_OR_GROUP}`,
});

/** Names and keys that two entries share, without the keys: one text per problem, for a check. */
export function repeatedKeys(apiKeys: readonly z.output<typeof KEY_ITEM>[]): string[] {
  const first = new Map<string, number>();
  return apiKeys.flatMap((apiKey, at) => {
    const facts = typeof apiKey === 'string' ? [`key ${hashOf(apiKey)}`] : factsOf(apiKey);
    return facts.flatMap((fact) => {
      const before = first.get(fact) ?? at;
      first.set(fact, before);
      if (before === at) return [];
      const [what] = fact.split(' ', 1);
      return [`[${at}]: has the ${what} of apiKeys[${before}]`];
    });
  });
}

function factsOf({ name, key, sha256 }: z.output<typeof keyGroup>): string[] {
  return [`name ${name}`, `key ${key === undefined ? sha256?.toLowerCase() : hashOf(key)}`];
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

export const apiKeys = listOf({
  item: KEY_ITEM,
  expected: 'a list of keys',
  kind: 'keys',
  flag: '--api-key <key>',
  secret: true,
  meaning:
    'Keys of the HTTP API, of 16 characters or more: texts, which may do everything, or [groups](http-api.md#keys) of `name`, `key` or `sha256`, `scopes` and `rooms` (as JSON in the environment). Without one it answers only requests from the same machine, and is off in production and when `auth` is configured',
});

export const metricsKey = optionalJudged({
  problemOf: keyProblem,
  expected: KEY_EXPECTED,
  secret: true,
  meaning: 'Key that `/metrics` requires, of 16 characters or more: `Authorization: Bearer <key>`',
});
