// Runs before the tests and looks for the programs that they start. Redis and a Chromium must be there. Without the others some
// tests are skipped; with CI=true, where a skipped test fails the run, they must be there too. On Debian, as root, it
// installs what is missing; elsewhere it says what to do. Quick and silent when nothing is missing.
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

function hasPython() {
  return runs('python3', '-c', 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))');
}

function hasCompose() {
  return runs('docker', 'compose', 'version') || find('docker-compose') !== null;
}

function runs(program, ...args) {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

/** A skipped test fails a run with CI=true. */
const isCi = process.env.CI === 'true';

const PROGRAMS = [
  {
    isThere: hasRedis,
    isNeeded: true,
    debianPackage: 'redis-server',
    advice: `redis-server ${OLDEST_REDIS} or newer on the PATH (Debian: apt-get install redis-server; macOS: brew install redis)`,
  },
  {
    isThere: hasChromium,
    isNeeded: true,
    debianPackage: 'chromium',
    advice: 'Chromium on the PATH or its path in CHROME_PATH (Debian: apt-get install chromium)',
  },
  ...['haproxy', 'strace', 'openssl'].map((name) => ({
    isThere: () => find(name) !== null,
    isNeeded: isCi,
    debianPackage: name,
    advice: `${name} on the PATH (Debian: apt-get install ${name})`,
  })),
  {
    isThere: () => find('promtool') !== null && find('prometheus') !== null,
    isNeeded: isCi,
    debianPackage: 'prometheus',
    advice: 'prometheus and promtool on the PATH (Debian: apt-get install prometheus)',
  },
  {
    isThere: hasCompose,
    isNeeded: isCi,
    debianPackage: 'docker-compose',
    advice: 'docker compose or docker-compose (Debian: apt-get install docker-compose)',
  },
  {
    isThere: hasPython,
    isNeeded: isCi,
    debianPackage: 'python3-venv',
    advice: 'python3, 3.10 or newer, with venv, on the PATH (Debian: apt-get install python3-venv)',
  },
];

function install(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // What apt prints goes to stderr, so that the test runner's own output stays clean.
  const stdio = ['ignore', process.stderr, process.stderr];
  console.error(`prepare: installing ${packages.join(' and ')}`);
  // A stale list of one foreign repository fails the update, yet the install below may well succeed.
  spawnSync('apt-get', ['update', '-qq'], { env, stdio });
  // One at a time: a package that this release does not have would keep the others from being installed.
  for (const name of packages) {
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], { env, stdio });
  }
}

const missing = PROGRAMS.filter(({ isThere }) => !isThere());
if (missing.length > 0 && process.getuid?.() === 0 && find('apt-get') !== null) {
  install(missing.map(({ debianPackage }) => debianPackage));
}
for (const { advice } of missing.filter(({ isNeeded, isThere }) => isNeeded && !isThere())) {
  console.error(`prepare: the tests need ${advice}`);
  process.exitCode = 1;
}
