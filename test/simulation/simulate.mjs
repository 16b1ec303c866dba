/** `npm run simulate -- --seed 1 --trace`, `--hours 1`, `--seeds 100`, `--until-failure`, `--shrink`: see README.md. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { bundle } from './bundle.mjs';

// Inside the repository, where Node finds the packages.
const folder = mkdtempSync(fileURLToPath(new URL('../../node_modules/.simulation-', import.meta.url)));
const output = join(folder, 'simulate.mjs');
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
// Lines of a campaign say what was run.
const { status, stdout } = spawnSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' });
if (status === 0) process.env.SIMULATION_COMMIT = stdout.trim();
const { coverage } = parseArgs({ options: { coverage: { type: 'string' } }, strict: false }).values;
await bundle(fileURLToPath(new URL('cli.ts', import.meta.url)), output, null, coverage !== undefined);
const tell = coverage === undefined ? null : await (await import('./coverage.mjs')).countCoverage(output);
await import(pathToFileURL(output).href);
await tell?.(coverage);
