/** A Python with packages from PyPI, in an environment of its own that later runs find again. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './snippets.ts';

const FOLDER = join(ROOT, 'node_modules/.cache/roomcast-python');

/** Path of a `python3` that can import these packages, or why there is none. */
export function pythonWith(packages: readonly string[]): { python: string } | { missing: string } {
  const imports = `import ${packages.join(', ')}`;
  const canImport = (python: string) => spawnSync(python, ['-c', imports]).status === 0;
  if (canImport('python3')) return { python: 'python3' };
  const python = join(FOLDER, 'bin/python3');
  if (existsSync(python) && canImport(python)) return { python };
  try {
    rmSync(FOLDER, { recursive: true, force: true });
    execFileSync('python3', ['-m', 'venv', FOLDER], { stdio: 'pipe' });
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '1'];
    execFileSync(python, [...pip, '--timeout', '10', ...packages], { stdio: 'pipe', timeout: 60_000 });
    return { python };
  } catch (error) {
    return { missing: `python3 with ${packages.join(' and ')}: ${(error as Error).message.split('\n')[0]}` };
  }
}
