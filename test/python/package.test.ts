import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { PYTHON_PACKAGE, pythonEnvironment } from '../support/python-environment.ts';

const environment = await pythonEnvironment();
if ('missing' in environment) console.warn(`skipped: the Python package needs ${environment.missing}`);

/** What it printed; rejects with that when it fails. */
async function python(...args: string[]): Promise<string> {
  if ('missing' in environment) throw new Error(environment.missing);
  const options = { cwd: PYTHON_PACKAGE, env: environment.env };
  const { stdout, stderr } = await promisify(execFile)(environment.python, args, options);
  return stdout + stderr;
}

describe.skipIf('missing' in environment)('the Python package', { timeout: 120_000 }, () => {
  it('passes its own tests, golden vectors of the protocol among them', async () => {
    const printed = await python(
      '-m',
      'unittest',
      'discover',
      '--top-level-directory',
      '.',
      '--start-directory',
      'tests',
    );
    const [, count] = /^Ran (\d+) tests? in/m.exec(printed) ?? [];
    expect(Number(count)).toBeGreaterThan(100);
    expect(printed).toMatch(/^OK$/m);
  });

  it('is strictly typed', async () => {
    expect(await python('-m', 'mypy')).toMatch(/^Success: no issues found/m);
  });

  it('is formatted and free of lint', async () => {
    await python('-m', 'ruff', 'format', '--check', '.');
    await python('-m', 'ruff', 'check', '.');
  });

  it('builds a wheel with its types and nothing of the tests', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'roomcast-wheel-'));
    try {
      await python(
        '-m',
        'pip',
        'wheel',
        '--quiet',
        '--no-deps',
        '--no-build-isolation',
        '--wheel-dir',
        folder,
        '.',
      );
      const list =
        'import glob, sys, zipfile; print(*zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0]).namelist(), sep="\\n")';
      const files = (await python('-c', list, folder)).trim().split('\n');
      expect(files).toEqual(expect.arrayContaining(['roomcast/__init__.py', 'roomcast/py.typed']));
      expect(files.filter((name) => !/^roomcast(-[\d.]+\.dist-info)?\//.test(name))).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
