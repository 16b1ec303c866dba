import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { NOBODY_KEPT_OUT } from '../../src/auth/authorize.ts';
import { CLIENT_ROUTES, permissionsTable, ROUTES } from '../../src/auth/permissions-table.ts';
import { clientCommands } from '../../src/connection/commands.ts';
import type { RoomServices } from '../../src/connection/services.ts';
import { HTTP_ROUTES } from '../../src/metrics/labels.ts';
import { silentLog } from '../../src/util/log.ts';

const PAGE = fileURLToPath(new URL('../../docs/permissions.md', import.meta.url));
const BETWEEN_MARKERS = /(?<=<!-- permissions:begin -->\n).*(?=<!-- permissions:end -->)/s;

// `npm run docs` writes the tables.
it('docs/permissions.md says what the function decides', async () => {
  const page = readFileSync(PAGE, 'utf8');
  expect(page).toMatch(BETWEEN_MARKERS);
  await expect(page.replace(BETWEEN_MARKERS, () => `${permissionsTable()}\n`)).toMatchFileSnapshot(PAGE);
});

it('the tables have every command and every route', () => {
  const services = {} as RoomServices;
  const commands = clientCommands({
    services,
    access: () => ({ join: 'anyone', publish: 'anyone' }),
    keptOut: NOBODY_KEPT_OUT,
    authenticator: null,
    userFull: () => null,
    identified: () => undefined,
    log: silentLog,
  });
  const headed = permissionsTable().split('\n')[2]!.match(/\w+/g)!;
  // These two concern no room.
  expect([...headed, 'auth', 'ping'].sort()).toEqual(Object.keys(commands).sort());
  const routes = [...new Set([...ROUTES, ...CLIENT_ROUTES].map(([, path]): string => path))];
  expect(routes.sort()).toEqual(HTTP_ROUTES.filter((label) => label.startsWith('/v1/')).sort());
});
