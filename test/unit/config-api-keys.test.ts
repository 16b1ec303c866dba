import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import type { Scope } from '../../src/auth/server-key.ts';
import { SCOPES } from '../../src/config/groups/api-keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import { maskSecrets } from '../../src/config/mask.ts';

const KEY = 'a-key-of-24-characters-a';
const SHA256 = createHash('sha256').update(KEY).digest('hex');
const ENTRY = { name: 'billing', sha256: SHA256, scopes: ['publish'], rooms: ['invoice:*'] };

function loaded(apiKeys: unknown) {
  const result = loadConfig({ settings: { apiKeys } as never, env: {} });
  if ('problems' in result) throw new Error(result.problems.join('\n'));
  return result.config;
}

function problems(apiKeys: unknown): readonly string[] {
  const result = loadConfig({ settings: { apiKeys } as never, env: {} });
  return 'problems' in result ? result.problems : [];
}

it('keys are texts, or groups with a name, scopes and rooms', () => {
  const apiKeys = [`${KEY}3`, ENTRY, { name: 'all', key: `${KEY}2`, scopes: ['publish', 'read', 'admin'] }];
  expect(loaded(apiKeys).apiKeys).toEqual(apiKeys);
});

it('the environment has them as a list or as JSON', () => {
  const of = (text: string) => loadConfig({ env: { ROOMCAST_API_KEYS: text } });
  expect(of(`${KEY}, ${KEY}2`)).toMatchObject({ config: { apiKeys: [KEY, `${KEY}2`] } });
  expect(of(JSON.stringify([ENTRY]))).toMatchObject({ config: { apiKeys: [ENTRY] } });
});

it('their scopes are those that the code knows', () => {
  const known: readonly Scope[] = SCOPES;
  expect(known).toEqual(['publish', 'read', 'admin']);
});

it.each<[string, unknown, RegExp]>([
  [
    'a short key',
    ['tiny-key'],
    /^settings apiKeys\[0\]: expected at least 16 characters, got 8: .*roomcast apikey create/,
  ],
  [
    'a short key in a group',
    [{ name: 'a', key: 'tiny-key', scopes: ['read'] }],
    /apiKeys\[0\]\.key: expected at least 16/,
  ],
  ['a key with a space', ['a key of the tests'], /printable ASCII without spaces and commas/],
  ['a number', [1234567890123456], /expected a key of printable ASCII .*, or a group of name/],
  [
    'a scope that does not exist',
    [{ ...ENTRY, scopes: ['write'] }],
    /scopes\[0\]: expected one of publish, read, admin/,
  ],
  ['no scope', [{ ...ENTRY, scopes: [] }], /scopes: expected at least one of publish, read, admin/],
  ['no list of scopes', [{ name: 'a', sha256: SHA256 }], /scopes: expected a list of publish, read, admin/],
  [
    'an empty list of rooms',
    [{ ...ENTRY, rooms: [] }],
    /rooms: expected at least one pattern; leave rooms out for all/,
  ],
  [
    'a hash that is none',
    [{ ...ENTRY, sha256: 'abc' }],
    /sha256: expected the SHA-256 of a key as 64 hexadecimal digits/,
  ],
  ['key and hash', [{ ...ENTRY, key: KEY }], /apiKeys\[0\]: expected either key or sha256/],
  ['neither', [{ name: 'a', scopes: ['read'] }], /apiKeys\[0\]: expected either key or sha256/],
  ['a misspelt member', [{ ...ENTRY, scope: ['read'] }], /unknown key "scope" — did you mean "scopes"/],
  ['a name twice', [ENTRY, { ...ENTRY, sha256: '0'.repeat(64) }], /\[1\]: has the name of apiKeys\[0\]/],
  ['a key twice', [KEY, KEY], /\[1\]: has the key of apiKeys\[0\]/],
  ['a key and its hash', [KEY, ENTRY], /\[1\]: has the key of apiKeys\[0\]/],
])('%s is refused, with what to do', (_, apiKeys, problem) => {
  const lines = problems(apiKeys);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(problem);
});

it('no problem shows a key', () => {
  expect(problems(['hush-hush hush-hush', { name: 'hush', key: 'hush', scopes: [] }]).join()).not.toMatch(
    /hush-hush|got "/,
  );
  expect(problems({ name: 'k', [`${KEY}4`]: 1, scopes: ['read'] }).join()).not.toContain(KEY);
});

it('printed settings have neither keys nor hashes', () => {
  const { apiKeys } = maskSecrets(
    loaded([`${KEY}3`, ENTRY, { name: 'all', key: `${KEY}2`, scopes: ['admin'] }]),
  );
  expect(apiKeys).toEqual([
    '***',
    { ...ENTRY, sha256: '***' },
    { name: 'all', key: '***', scopes: ['admin'] },
  ]);
});
