import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { readRecords, renderPages } from '../../bench/report/readme.ts';
import { SCENARIOS } from '../../bench/scenarios/index.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const paths = {
  results: `${ROOT}bench/results`,
  labBook: `${ROOT}bench/README.md`,
  digest: `${ROOT}docs/benchmarks.md`,
};

// `npm run docs` writes the tables, and so does `npm run bench -- report`, with pages and pictures.
it('docs/benchmarks.md and bench/README.md have the tables of what is recorded', async () => {
  for (const { path, text } of renderPages(readRecords(SCENARIOS, paths.results), paths)) {
    await expect(text).toMatchFileSnapshot(path);
  }
});
