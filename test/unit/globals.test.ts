/** Time, timers, the end of the turn and chance are handed in: nothing in src/ takes them from the process itself. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));
const TAKEN =
  /\b(setTimeout|setInterval|setImmediate|queueMicrotask|Date\.now|performance\.now|Math\.random)\b|\bnew Date\(\)/;

/** Where they may be taken, and why. */
const ALLOWED = [
  // Where the scheduler and the clock of the process are made.
  'util/',
  // Programs of their own, which live in real time: the commands, and the load driver.
  'cli/',
  'load/',
  // Waits once, before the node runs.
  'backplane/redis/start/start-checks.ts',
];

function takers(): string[] {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).map((path) =>
    path.replaceAll('\\', '/'),
  );
  const sources = files.filter(
    (file) => file.endsWith('.ts') && !ALLOWED.some((path) => file.startsWith(path)),
  );
  return sources.flatMap((file) => {
    const lines = withoutComments(readFileSync(`${SRC}/${file}`, 'utf8')).split('\n');
    return lines.flatMap((line, i) => (TAKEN.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : []));
  });
}

/** Lines stay where they are. */
function withoutComments(source: string): string {
  const blank = (text: string) => text.replace(/[^\n]/g, '');
  return source.replace(/\/\*.*?\*\//gs, blank).replace(/\/\/.*$/gm, '');
}

describe('the sources', () => {
  it('take time, timers, turns and chance from a scheduler or a clock that they are given', () => {
    expect(takers()).toEqual([]);
  });

  it('are found out where they do not', () => {
    expect(TAKEN.test('const timer = setTimeout(work, 5);')).toBe(true);
    expect(TAKEN.test('this.#scheduler.after(5, work)')).toBe(false);
    expect(withoutComments('a(); // Date.now()\n/* Math.random() */ b();')).toBe('a(); \n b();');
  });
});
