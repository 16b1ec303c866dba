/** Which scope each route of the HTTP API needs, as Markdown for `docs/http-api.md`. */
import { ROUTES } from './permissions-table.ts';
import { authorizeKey, type Scope, scopeOf, serverKey } from './server-key.ts';

const SCOPES: readonly Scope[] = ['publish', 'read', 'admin'];

/** No trailing newline. */
export function scopesTable(): string {
  const head = ['route', ...SCOPES.map((scope) => `\`${scope}\``), 'with `rooms`'];
  const rows = ROUTES.map(([method, path, action]) => [
    `\`${method} ${path}\``,
    ...SCOPES.map((scope) => {
      const key = serverKey({ name: 'key', scopes: [scope] });
      return authorizeKey(action, 'chat', key) === null ? 'yes' : '`forbidden`';
    }),
    roomsCell(action, path),
  ]);
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** What a key that is for some rooms gets. */
function roomsCell(action: (typeof ROUTES)[number][2], path: string): string {
  const key = serverKey({ name: 'key', scopes: [scopeOf(action)], rooms: ['chat'] });
  const ofRoom = path.includes(':room') || action === 'publish';
  return ofRoom && authorizeKey(action, 'chat', key) === null ? 'those rooms' : '`forbidden`';
}
