/** A Python with the package of `python/` and what its tests need, in an environment of its own that later runs find again. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './snippets.ts';
import { waitFor } from './wait.ts';

export const PYTHON_PACKAGE = join(ROOT, 'python');

export type PythonEnvironment =
  | {
      /** Path of its interpreter. */
      readonly python: string;
      /** For each process: what it writes stays out of the work tree. */
      readonly env: Readonly<Record<string, string>>;
    }
  | { readonly missing: string };

const CACHE = join(ROOT, 'node_modules/.cache');
const INSTALL_MS = 120_000;
const OLDEST = [3, 10];

/** Made by the first that asks for it; others wait. */
export async function pythonEnvironment(): Promise<PythonEnvironment> {
  const version = pythonVersion();
  if (version === null) return { missing: `python3, ${OLDEST.join('.')} or newer, on the PATH` };
  const definition = readFileSync(join(PYTHON_PACKAGE, 'pyproject.toml'));
  const name = createHash('sha256')
    .update(`${version}\n${ROOT}\n`)
    .update(definition)
    .digest('hex')
    .slice(0, 12);
  const folder = join(CACHE, `roomcast-python-${name}`);
  if (!existsSync(folder)) {
    try {
      await makeOnce(folder);
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      const why = (stderr || message).trim().split('\n').slice(-3).join(' ');
      return {
        missing: `an environment for Python ${version} (Debian: apt-get install python3-venv): ${why}`,
      };
    }
  }
  return {
    python: join(folder, 'bin/python3'),
    env: {
      ...(process.env as Record<string, string>),
      PYTHONDONTWRITEBYTECODE: '1',
      MYPY_CACHE_DIR: join(CACHE, 'mypy'),
      RUFF_CACHE_DIR: join(CACHE, 'ruff'),
    },
  };
}

function pythonVersion(): string | null {
  const say = 'import sys; print("%d.%d.%d" % sys.version_info[:3])';
  try {
    const version = execFileSync('python3', ['-c', say], { encoding: 'utf8', stdio: 'pipe' }).trim();
    const [major = 0, minor = 0] = version.split('.').map(Number);
    return major > OLDEST[0]! || (major === OLDEST[0] && minor >= OLDEST[1]!) ? version : null;
  } catch {
    return null;
  }
}

/** The folder appears complete. A lock keeps two test files from installing the same at the same time. */
async function makeOnce(folder: string): Promise<void> {
  const lock = `${folder}.lock`;
  mkdirSync(CACHE, { recursive: true });
  if (!takes(lock)) {
    const isDone = () => existsSync(folder) || !existsSync(lock);
    await waitFor(isDone, { timeoutMs: INSTALL_MS, intervalMs: 200, for: `another test to make ${folder}` });
    if (existsSync(folder)) return;
    throw new Error('another test could not make it');
  }
  const draft = `${folder}.draft`;
  try {
    await make(draft);
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
    rmSync(lock, { recursive: true, force: true });
  }
}

function takes(lock: string): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    // One that a killed run left behind is no lock.
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (age < INSTALL_MS) return false;
    rmSync(lock, { recursive: true, force: true });
    return takes(lock);
  }
}

async function make(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  const run = promisify(execFile);
  await run('python3', ['-m', 'venv', folder], { timeout: INSTALL_MS });
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '1'];
  const what = ['--editable', `${PYTHON_PACKAGE}[test]`];
  await run(join(folder, 'bin/python3'), [...pip, '--timeout', '10', ...what], { timeout: INSTALL_MS });
}
