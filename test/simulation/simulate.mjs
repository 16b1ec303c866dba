/** `npm run simulate -- --seed 1 --trace`, `--hours 1`, `--seeds 100`, `--until-failure`, `--shrink`: see README.md. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bundle } from './bundle.mjs';

// Inside the repository, where Node finds the packages.
const folder = mkdtempSync(fileURLToPath(new URL('../../node_modules/.simulation-', import.meta.url)));
const output = join(folder, 'simulate.mjs');
await bundle(fileURLToPath(new URL('cli.ts', import.meta.url)), output);
await import(pathToFileURL(output).href);
