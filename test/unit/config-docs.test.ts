import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DOCS_BEGIN, DOCS_END, describeConfig } from '../../src/config/describe.ts';
import { SETTINGS } from '../../src/config/settings.ts';

const PAGE = join(import.meta.dirname, '../../docs/configuration.md');
const BETWEEN_MARKERS = new RegExp(`(?<=${DOCS_BEGIN}\\n).*(?=\\n${DOCS_END})`, 's');

// `npm run docs` writes the tables.
it('docs/configuration.md describes the settings as they are', async () => {
  const page = readFileSync(PAGE, 'utf8');
  expect(page).toMatch(BETWEEN_MARKERS);
  await expect(page.replace(BETWEEN_MARKERS, () => describeConfig())).toMatchFileSnapshot(PAGE);
});

it('every setting and every member of a rule has a row of its own', () => {
  const rows = describeConfig().split('\n');
  for (const { path, environment } of SETTINGS) {
    expect(rows.filter((row) => row.startsWith(`| \`${path}\` | \`${environment}`))).toHaveLength(1);
  }
  for (const member of [
    'match',
    'history',
    'presence',
    'memberEvents',
    'join',
    'publish',
    'acks',
    'slowReaders',
  ]) {
    expect(rows.filter((row) => row.startsWith(`| \`${member}\` | `))).toHaveLength(1);
  }
});

it('rows hold the flag, the default and the customary variable', () => {
  const rows = describeConfig().split('\n');
  expect(rows).toContain(
    '| `port` | `ROOMCAST_PORT`, `PORT` | `--port <number>` | `8080` | Port to listen on; `0`: any free one |',
  );
  expect(rows.find((row) => row.startsWith('| `demo`'))).toContain(
    '| `--demo`, `--no-demo` | not `production` |',
  );
  expect(rows.find((row) => row.startsWith('| `redis.url`'))).toContain('`REDIS_URL[_FILE]`');
});
