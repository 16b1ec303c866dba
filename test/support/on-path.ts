import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Whether a program is on the PATH. If not, says so and how to get it: what needs it is skipped. */
export function isOnPath(program: string, debianPackage = 'prometheus'): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter);
  if (folders.some((folder) => isExecutable(join(folder, program)))) return true;
  console.warn(`${program} is not on the PATH: what needs it is skipped (apt-get install ${debianPackage})`);
  return false;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there: the next folder may have it.
    return false;
  }
}
