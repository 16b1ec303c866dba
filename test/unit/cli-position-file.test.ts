import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PositionFile } from '../../src/cli/rooms/position-file.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roomcast-positions-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function open(name: string, failures: string[] = []): PositionFile {
  return new PositionFile(join(folder, name), (error) => failures.push(error.message));
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(join(folder, name), 'utf8'));
}

describe('a position file', () => {
  it('begins without a file, and is found again', async () => {
    const file = open('new');
    expect(file.of('lobby')).toBeNull();
    file.set('lobby', ['abc', 5]);
    await file.saved();
    expect(read('new')).toEqual({ lobby: ['abc', 5] });
    expect(open('new').of('lobby')).toEqual(['abc', 5]);
  });

  it('holds the newest position, however many were set while it was written', async () => {
    const file = open('busy');
    for (let offset = 1; offset <= 500; offset++) {
      file.set('lobby', ['abc', offset]);
      file.save();
    }
    await file.saved();
    expect(read('busy')).toEqual({ lobby: ['abc', 500] });
    expect(existsSync(join(folder, 'busy.tmp'))).toBe(false);
  });

  it.each(['[]', '5', 'null', '{"a": 5}', '{"a": ["x"]}', '{"a": ["x", -1]}', '{"a": [1, 1]}', 'words', '{'])(
    'is not taken for one: %s',
    (text) => {
      writeFileSync(join(folder, 'wrong'), text);
      expect(() => open('wrong')).toThrow(/is no position file: it must hold/);
    },
  );

  it('may be empty, as mktemp makes it', () => {
    writeFileSync(join(folder, 'empty'), '');
    expect(open('empty').of('lobby')).toBeNull();
  });

  it('stays a link where it is one', async () => {
    writeFileSync(join(folder, 'target'), '{}');
    symlinkSync(join(folder, 'target'), join(folder, 'link'));
    const file = open('link');
    file.set('lobby', ['abc', 1]);
    await file.saved();
    expect(lstatSync(join(folder, 'link')).isSymbolicLink()).toBe(true);
    expect(read('target')).toEqual({ lobby: ['abc', 1] });
  });

  it('says when it cannot be written', async () => {
    mkdirSync(join(folder, 'folder.tmp'));
    const failures: string[] = [];
    await open('folder', failures).saved();
    expect(failures).toEqual([expect.stringMatching(/^cannot write .*folder: EISDIR/)]);
  });
});
