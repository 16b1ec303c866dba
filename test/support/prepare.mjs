// Runs before the tests and sees to the programs that they start: a Redis server, a Chromium for the browser tests, and
// HAProxy and Prometheus, which check the configurations under deploy/, and strace, which counts system calls.
// On Debian, as root, it installs what is missing; elsewhere it says what to do. Quick and silent when all is there.
import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const OLDEST_REDIS = 7;

/** Full path of the first of these programs that is on the PATH, or null. */
function find(...names) {
  for (const name of names) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      if (isExecutable(join(folder, name))) return join(folder, name);
    }
  }
  return null;
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function hasRedis() {
  const path = find('redis-server');
  if (path === null) return false;
  const version = /v=(\d+)/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }));
  return version !== null && Number(version[1]) >= OLDEST_REDIS;
}

function hasChromium() {
  const { CHROME_PATH } = process.env;
  if (CHROME_PATH) return isExecutable(CHROME_PATH);
  return find('chromium', 'chromium-browser', 'google-chrome') !== null;
}

const NEEDED = [
  {
    isThere: hasRedis,
    debianPackage: 'redis-server',
    advice: `the tests need redis-server ${OLDEST_REDIS} or newer on the PATH (Debian: apt-get install redis-server; macOS: brew install redis)`,
  },
  {
    isThere: hasChromium,
    debianPackage: 'chromium',
    advice:
      'the browser tests need Chromium on the PATH or its path in CHROME_PATH (Debian: apt-get install chromium)',
  },
];

/** Nice to have: tests that want them are skipped with a reason where they are missing. */
const WELCOME = [
  { isThere: () => find('haproxy') !== null, debianPackage: 'haproxy' },
  { isThere: () => find('strace') !== null, debianPackage: 'strace' },
  { isThere: () => find('promtool') !== null && find('prometheus') !== null, debianPackage: 'prometheus' },
];

function install(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // What apt prints goes to stderr, so that the test runner's own output stays clean.
  const stdio = ['ignore', process.stderr, process.stderr];
  console.error(`prepare: installing ${packages.join(' and ')}`);
  // A stale list of one foreign repository fails the update, yet the install below may well succeed.
  spawnSync('apt-get', ['update', '-qq'], { env, stdio });
  spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env, stdio });
}

const missing = NEEDED.filter(({ isThere }) => !isThere());
const wanted = [...missing, ...WELCOME.filter(({ isThere }) => !isThere())];
if (wanted.length > 0 && process.getuid?.() === 0 && find('apt-get') !== null) {
  install(wanted.map(({ debianPackage }) => debianPackage));
}
for (const { advice } of missing.filter(({ isThere }) => !isThere())) {
  console.error(`prepare: ${advice}`);
  process.exitCode = 1;
}
