// Compares the repack of uWebSockets.js with the hashes that this repository pins: .ci/native-builds.sha256, as
// sha256sum prints it. npm checks the package's own hash from the lock file when it downloads it; this finds what is
// wrong with what was installed by other means, or was changed afterwards. `npm install` and `npm ci` run it.
//
//   node .ci/verify-native.mjs [node_modules]
//
// For a new version: (cd node_modules/uWebSockets.js && sha256sum dist/*.mjs dist/bin/*.node) > .ci/native-builds.sha256
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const PACKAGE = 'uws-pack';
const folder = join(process.argv[2] ?? 'node_modules', 'uWebSockets.js');
const OWN = `dist/bin/uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;

function pinned() {
  const lines = readFileSync(new URL('native-builds.sha256', import.meta.url), 'utf8')
    .trim()
    .split('\n');
  return new Map(lines.map((line) => line.split(/ +/).reverse()));
}

/** What would be run: every file that is code. */
function installed() {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => /\.(node|[cm]?js)$/.test(path));
}

function problems() {
  const hashes = pinned();
  const files = installed();
  const wrong = files.flatMap((path) => {
    const hash = createHash('sha256')
      .update(readFileSync(join(folder, path)))
      .digest('hex');
    if (!hashes.has(path)) return [`${path} is not in .ci/native-builds.sha256`];
    return hashes.get(path) === hash ? [] : [`${path} has the SHA-256 ${hash}, not ${hashes.get(path)}`];
  });
  return files.includes(OWN) ? wrong : [...wrong, `${OWN} is missing`];
}

if (!existsSync(join(folder, 'package.json'))) {
  // An install that leaves dependencies out, such as one that only writes the lock file.
  console.log(`verify-native: ${folder} is not installed`);
} else {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  if (name !== PACKAGE) {
    // docs/operations.md says how to get here.
    console.log(`verify-native: ${name} ${version} in place of ${PACKAGE}: its files are not checked`);
  } else {
    const found = problems();
    for (const problem of found) console.error(`verify-native: ${PACKAGE} ${version}: ${problem}`);
    if (found.length > 0) process.exit(1);
    console.log(`verify-native: ${PACKAGE} ${version} is what this repository pins`);
  }
}
