/** The list of planted faults cannot rot: each stands in the source once, and what it makes of the source is still a program. */
import { readFileSync } from 'node:fs';
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
