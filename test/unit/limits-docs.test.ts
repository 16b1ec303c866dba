import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { LIMIT_ROWS, limitsTable } from '../../src/config/limits-table.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { LIMITS } from '../../src/metrics/labels.ts';

const PAGE = fileURLToPath(new URL('../../docs/limits.md', import.meta.url));
const BETWEEN_MARKERS = /(?<=<!-- limits:begin -->\n).*(?=<!-- limits:end -->)/s;

// `npm run docs` writes the table.
it('docs/limits.md lists the limits with their defaults', async () => {
  const page = readFileSync(PAGE, 'utf8');
  expect(page).toMatch(BETWEEN_MARKERS);
  await expect(page.replace(BETWEEN_MARKERS, () => `${limitsTable()}\n`)).toMatchFileSnapshot(PAGE);
});

it('the table has every limit that errors name and the metric counts, each by the path of a setting', () => {
  const paths = SETTINGS.map(({ path }) => path);
  expect(LIMIT_ROWS.map(({ path }) => path).sort()).toEqual([...LIMITS].sort());
  for (const { path, burst = path } of LIMIT_ROWS) {
    expect(paths).toContain(path);
    expect(paths).toContain(burst);
  }
});

it('every setting under limits is in the table, or says what is not turned away', () => {
  const listed = LIMIT_ROWS.flatMap(({ path, burst }) => [path, burst]);
  const others = SETTINGS.map(({ path }) => path).filter(
    (path) => path.startsWith('limits.') && !listed.includes(path),
  );
  // How much one answer has, how fast answers come, and to whom the limits of addresses apply.
  expect(others.sort()).toEqual([
    'limits.historyPage',
    'limits.limitPrivateAddresses',
    'limits.membersPage',
    'limits.readBytesPerSecond',
  ]);
});
