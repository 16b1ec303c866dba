import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { attemptsTable } from '../support/attempts.ts';

const PAGE = fileURLToPath(new URL('../../docs/attempts.md', import.meta.url));
const BETWEEN_MARKERS = /(?<=<!-- attempts:begin -->\n).*(?=<!-- attempts:end -->)/s;

// `npm run docs` writes the table; test/integration/attempts.test.ts tries each of its cells.
it('docs/attempts.md says what nodes answer', async () => {
  const page = readFileSync(PAGE, 'utf8');
  expect(page).toMatch(BETWEEN_MARKERS);
  await expect(page.replace(BETWEEN_MARKERS, () => `${attemptsTable()}\n`)).toMatchFileSnapshot(PAGE);
});
