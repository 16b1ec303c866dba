import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ROUTES } from '../../src/auth/permissions-table.ts';
import { scopesTable } from '../../src/auth/scopes-table.ts';
import { authorizeKey, fullKey, scopeOf, serverKey } from '../../src/auth/server-key.ts';

const PAGE = fileURLToPath(new URL('../../docs/http-api.md', import.meta.url));
const BETWEEN_MARKERS = /(?<=<!-- scopes:begin -->\n).*(?=<!-- scopes:end -->)/s;

// `npm run docs` writes the table.
it('docs/http-api.md says which scope each route needs', async () => {
  const page = readFileSync(PAGE, 'utf8');
  expect(page).toMatch(BETWEEN_MARKERS);
  await expect(page.replace(BETWEEN_MARKERS, () => `${scopesTable()}\n`)).toMatchFileSnapshot(PAGE);
});

describe('a key of the HTTP API', () => {
  it('may do what its scope says and nothing else, in whatever scope there is', () => {
    for (const scope of ['publish', 'read', 'admin'] as const) {
      const key = serverKey({ name: 'k', scopes: [scope] });
      for (const [, , action] of ROUTES) {
        expect(authorizeKey(action, 'chat', key) === null).toBe(scopeOf(action) === scope);
      }
    }
  });

  it('needs admin for what changes users and rooms, and for what nobody gave a scope', () => {
    for (const action of ['clear', 'add', 'remove', 'disconnect', 'invented' as 'clear'] as const) {
      expect(scopeOf(action)).toBe('admin');
    }
  });

  it('is told which scope it lacks, and which it has', () => {
    const key = serverKey({ name: 'billing', scopes: ['publish', 'admin'] });
    expect(authorizeKey('history', 'chat', key)).toEqual({
      code: 'forbidden',
      message: 'the API key "billing" lacks the scope read: it has publish, admin',
    });
  });

  it('is for its rooms, and then for nothing that concerns more than those', () => {
    const key = serverKey({ name: 'k', scopes: ['publish', 'read'], rooms: ['chat:*', 'news'] });
    expect(authorizeKey('publish', 'chat:1', key)).toBeNull();
    expect(authorizeKey('members', 'news', key)).toBeNull();
    expect(authorizeKey('publish', 'newsroom', key)).toEqual({
      code: 'forbidden',
      message: 'the API key "k" may not be used for "newsroom": it is for "chat:*", "news"',
    });
    for (const room of ['chat', '$user:ann', '']) {
      expect(authorizeKey('publish', room, key)?.code).toBe('forbidden');
    }
    for (const action of ['rooms', 'nodes', 'user'] as const) {
      expect(authorizeKey(action, null, key)?.message).toMatch(/concerns more than its rooms/);
    }
  });

  it('may do everything where it is only text', () => {
    for (const [, , action] of ROUTES) expect(authorizeKey(action, null, fullKey('k'))).toBeNull();
  });
});
