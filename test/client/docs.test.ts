/** docs/client.md says what the client has, and its programs compile. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as client from '../../src/client/public.ts';
import { ROOT, snippetsOf } from '../support/snippets.ts';

const page = readFileSync(join(ROOT, 'docs/client.md'), 'utf8').trimEnd();

/** The first column of the table whose head has these words. */
function namesIn(head: string): string[] {
  const from = page.indexOf(`| ${head}`);
  const rows = page.slice(from).split('\n\n')[0]!.split('\n').slice(2);
  return rows.map((row) => /`([^`]+)`/.exec(row)![1]!);
}

/** The fields of an interface, as its file declares them. */
function fieldsOf(file: string, name: string): string[] {
  const source = readFileSync(join(ROOT, 'src/client', file), 'utf8');
  const body = source.split(`export interface ${name}`)[1]!.split('\n}')[0]!;
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm)].map((field) => field[1]!);
}

describe('docs/client.md', () => {
  it('names every option of the client and of a room, every event and every error', () => {
    expect(namesIn('option | default')).toEqual(fieldsOf('options.ts', 'ClientOptions'));
    expect(namesIn('option | meaning |')).toEqual(fieldsOf('room-events.ts', 'RoomOptions'));
    expect(namesIn('event |').sort()).toEqual(fieldsOf('room-events.ts', 'RoomEvents').sort());
    expect(namesIn('field of `joined`')).toEqual(fieldsOf('room-events.ts', 'Joined'));
    const errors = Object.entries(client)
      .filter(([name, value]) => value.prototype instanceof Error && name !== 'RoomcastError')
      .map(([name]) => name);
    expect(namesIn('class |').sort()).toEqual(errors.sort());
  });

  it('has programs that compile against the package', () => {
    const folder = mkdtempSync(join(tmpdir(), 'roomcast-docs-'));
    mkdirSync(join(folder, 'node_modules'));
    cpSync(join(ROOT, 'dist/client-package'), join(folder, 'node_modules/roomcast-client'), {
      recursive: true,
    });
    const pages = ['docs/client.md', 'docs/getting-started.md'];
    const programs = pages.flatMap(snippetsOf).filter(({ language }) => language === 'ts');
    expect(programs.length).toBeGreaterThan(5);
    const files = programs.map(({ line, code }, i) => {
      const file = `${i}-line-${line}.ts`;
      const isWhole = code.includes('new RoomcastClient');
      const before = `import { RoomcastClient } from 'roomcast-client';\nconst client = new RoomcastClient('ws://a.test');\n`;
      writeFileSync(join(folder, file), `${isWhole ? '' : before}${code}\nexport { client };\n`);
      return file;
    });
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    const options = { module: 'nodenext', target: 'es2022', strict: true, noEmit: true, types: [] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files }));
    execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    rmSync(folder, { recursive: true });
  });
});
