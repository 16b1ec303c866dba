/** The built program that tests start. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const INSTALLED = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
/** The same files with each package as one file: it starts with half the work. `npm run build:test` makes it. */
const QUICK = fileURLToPath(new URL('../../dist-test/main.js', import.meta.url));

/** Path of its entry. `asInstalled`: with the packages as users have them, for tests of memory. */
export function programPath({ asInstalled = false } = {}): string {
  return !asInstalled && existsSync(QUICK) ? QUICK : INSTALLED;
}
