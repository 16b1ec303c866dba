/**
 * `npm run simulate:planted -- --seeds 10 --results /tmp/planted.json`: plants each mistake of planted-faults.mjs, and says after how many seeds the
 * simulation finds it. Those that the file of results has already are left alone, so that a run can be stopped and goes on later.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bundle } from './bundle.mjs';
import { PLANTED } from './planted-faults.mjs';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10' },
    only: { type: 'string', default: '' },
    results: { type: 'string', default: 'planted.json' },
  },
});
/** A mistake may make a run endless, which counts as found. */
const LIMIT_MS = 120_000;
const folder = mkdtempSync(fileURLToPath(new URL('../../node_modules/.simulation-', import.meta.url)));
const output = join(folder, 'planted.mjs');
const results = existsSync(values.results) ? JSON.parse(readFileSync(values.results, 'utf8')) : {};

for (const [name, mutation] of Object.entries(PLANTED)) {
  if (results[name] || !name.includes(values.only)) continue;
  await bundle(fileURLToPath(new URL('cli.ts', import.meta.url)), output, mutation);
  const args = [output, '--seeds', values.seeds, '--until-failure', '--json'];
  const { stdout, status } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: LIMIT_MS });
  const lines = stdout.trim().split('\n');
  const by = lines.find((line) => line.startsWith('seed ')) ?? (status === 0 ? '' : 'it ended');
  const seeds = Number(/"seeds":(\d+)/.exec(lines.at(-1) ?? '')?.[1] ?? 0);
  results[name] = { isFound: status !== 0, seeds, by: by.replace(/^seed \d+: /, '').slice(0, 160) };
  writeFileSync(values.results, `${JSON.stringify(results, null, 2)}\n`);
  console.log(
    `${results[name].isFound ? `found after ${seeds} seeds` : 'NOT FOUND'}: ${name}: ${results[name].by}`,
  );
}
rmSync(folder, { recursive: true });
const all = Object.values(results);
console.log(`${all.filter(({ isFound }) => isFound).length} of ${all.length} found`);
