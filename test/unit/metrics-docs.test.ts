import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { metricsTable } from '../../src/metrics/table.ts';
import { testRegistry } from '../support/metrics.ts';

const PAGE = fileURLToPath(new URL('../../docs/metrics.md', import.meta.url));
const BETWEEN_MARKERS = /(?<=<!-- metrics:begin -->\n).*(?=\n<!-- metrics:end -->)/s;

describe('docs/metrics.md', () => {
  // `npm run docs` writes the table.
  it('holds the table of metrics as the registry declares them', async () => {
    const page = readFileSync(PAGE, 'utf8');
    expect(page).toMatch(BETWEEN_MARKERS);
    const current = page.replace(BETWEEN_MARKERS, () => metricsTable(testRegistry()));
    await expect(current).toMatchFileSnapshot(PAGE);
  });
});

describe('metricsTable', () => {
  it('has one row for each metric of Roomcast and none of others', () => {
    const registry = testRegistry();
    const ours = registry.getMetricsAsArray().filter(({ name }) => name.startsWith('roomcast_'));
    const rows = metricsTable(registry).split('\n').slice(2);
    expect(rows.map((row) => row.split('`')[1])).toEqual(ours.map(({ name }) => name));
  });
});
