/**
 * The list of planted faults cannot rot: each stands in the source once, and what it makes of the source is still a program. A few of
 * them are found here, by the checkers that found them before; `npm run test:long` looks for all.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import luaparse from 'luaparse';
import { parseAst } from 'rolldown/parseAst';
import { expect, test } from 'vitest';
import { planted } from './fault.ts';
import { FAULTS } from './faults.ts';

test('each planted fault fits the source and leaves a program', () => {
  for (const fault of FAULTS) {
    const source = planted(fault, readFileSync(`src/${fault.file}`, 'utf8'));
    if (fault.file.endsWith('.lua'))
      luaparse.parse(source.replace(/^#!.*/, ''), {
        luaVersion: '5.1',
        encodingMode: 'pseudo-latin1',
        comments: false,
      });
    else parseAst(source, { lang: 'ts' });
  }
});

test('there are many of them, each with a name of its own', () => {
  expect(new Set(FAULTS.map(({ name }) => name)).size).toBe(FAULTS.length);
  expect(FAULTS.length).toBeGreaterThanOrEqual(40);
});

/** Of its first seed, in a process of its own, where nothing but the simulation is. */
function violationOf(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'planted-'));
  try {
    const results = join(folder, 'results.jsonl');
    const program = join(import.meta.dirname, 'planted.mjs');
    const args = [program, '--fault', name, '--seeds', '1', '--results', results];
    execFileSync(process.execPath, args, { stdio: 'ignore' });
    return String(JSON.parse(readFileSync(results, 'utf8')).violation);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test.each([
  ['position moves after the listeners', /is given message \d+ .* twice in a row/],
  ['claim takes any lease', /the lease of \S+ was claimed \d+ ms after it was renewed/],
  ['backoff does not grow', /connects 12 times within 900 ms/],
])('the fault "%s" is found', (name, words) => {
  expect(violationOf(name)).toMatch(words);
});
