/** docs/react.md names every hook, and its programs compile and run as an application of somebody's own has them. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import * as react from '../../src/client/react/index.ts';
import { ROOT, snippetsOf } from '../support/snippets.ts';

const run = promisify(execFile);
const PAGE = 'docs/react.md';
const bin = (name: string) => join(ROOT, 'node_modules/.bin', name);
const app = mkdtempSync(join(tmpdir(), 'roomcast-react-'));
afterAll(() => rmSync(app, { recursive: true }));

/** The names under which the programs import each other, by what only one of them holds. */
const NAMES = [
  ['chat.tsx', 'function Chat('],
  ['chat.test.tsx', 'startTestBroker'],
  ['typing.tsx', 'function Typing('],
  ['live.tsx', 'function Live('],
] as const;

function writeApp(): void {
  mkdirSync(join(app, 'node_modules/@types'), { recursive: true });
  const packages = ['react', 'react-dom', 'vitest', 'happy-dom', '@types/react', '@types/react-dom'];
  for (const name of packages) {
    symlinkSync(join(ROOT, 'node_modules', name), join(app, 'node_modules', name));
  }
  symlinkSync(ROOT, join(app, 'node_modules/roomcast'));
  symlinkSync(join(ROOT, 'dist/client-package'), join(app, 'node_modules/roomcast-client'));
  writeFileSync(join(app, 'package.json'), '{"type": "module"}');
  const compilerOptions = {
    ...{ module: 'nodenext', target: 'es2022', lib: ['es2022', 'dom'], jsx: 'react-jsx', types: [] },
    ...{ strict: true, noEmit: true, skipLibCheck: true, allowImportingTsExtensions: true },
  };
  writeFileSync(
    join(app, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: NAMES.map(([name]) => name) }),
  );
}

describe(PAGE, () => {
  it('names every hook', () => {
    const table = readFileSync(join(ROOT, PAGE), 'utf8').split('| hook |')[1]!.split('\n\n')[0]!;
    const named = [...table.matchAll(/^\| `(\w+)/gm)].map((found) => found[1]!);
    expect(named.sort()).toEqual(
      Object.keys(react)
        .filter((name) => name.startsWith('use'))
        .sort(),
    );
  });

  it('has programs that compile, and a test that passes', async () => {
    writeApp();
    const programs = snippetsOf(PAGE).filter(({ language }) => language === 'tsx');
    expect(programs).toHaveLength(NAMES.length);
    for (const [name, piece] of NAMES) {
      const [program, ...others] = programs.filter(({ code }) => code.includes(piece));
      expect(others).toEqual([]);
      writeFileSync(join(app, name), program!.code);
    }
    await run(bin('tsc'), ['-p', app]);
    const { stdout } = await run(bin('vitest'), ['run', '--root', app], {
      cwd: app,
      env: { ...process.env, NO_COLOR: '1' },
    });
    expect(stdout).toMatch(/Tests {2}1 passed/);
  }, 60_000);
});
