// Makes a release: checks that it may be made, cuts the changelog, commits and tags. It pushes and publishes nothing.
//
//   node .ci/release.mjs 0.2.0             checks, runs the tests, then changes files, commits and tags
//   node .ci/release.mjs 0.2.0 --check     the checks alone; changes nothing
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const NEEDED_FILES = ['LICENSE', 'README.md', 'package.json', 'dist/index.js', 'dist/main.js'];
const UNRELEASED = '## [Unreleased]';

const [version, option] = process.argv.slice(2);
const changelog = () => readFileSync('CHANGELOG.md', 'utf8');
const manifest = () => JSON.parse(readFileSync('package.json', 'utf8'));

function fail(message) {
  console.error(`release: ${message}`);
  process.exit(1);
}

function run(program, ...args) {
  execFileSync(program, args, { stdio: 'inherit' });
}

function output(program, ...args) {
  return execFileSync(program, args, { encoding: 'utf8' }).trim();
}

function numbersOf(text) {
  return text.split('.').map(Number);
}

function isHigher(one, other) {
  const [a, b] = [numbersOf(one), numbersOf(other)];
  const at = a.findIndex((number, i) => number !== b[i]);
  return at >= 0 && a[at] > b[at];
}

/** What stands under a heading of the changelog, up to the next one of its kind. */
function section(text, heading) {
  const begin = text.indexOf(`${heading}\n`);
  if (begin < 0) return null;
  const from = begin + heading.length;
  const end = text.indexOf('\n## ', from);
  return text.slice(from, end < 0 ? undefined : end).trim();
}

function check() {
  if (!/^\d+\.\d+\.\d+$/.test(version ?? ''))
    fail('usage: node .ci/release.mjs <major.minor.patch> [--check]');
  const { version: current } = manifest();
  const tags = output('git', 'tag', '--list', 'v*').split('\n');
  if (tags.includes(`v${version}`)) fail(`the tag v${version} exists`);
  // The first release has the version that package.json begins with.
  const isFirst = tags.join('') === '' && version === current;
  if (!isFirst && !isHigher(version, current)) fail(`${version} is not higher than ${current}`);
  const changes = output('git', 'status', '--porcelain');
  if (changes !== '') fail(`the working tree is not clean:\n${changes}`);
  if (!section(changelog(), UNRELEASED)) fail(`CHANGELOG.md has nothing under "${UNRELEASED}"`);
}

function setVersion(file) {
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(/("version":\s*")[^"]+/, `$1${version}`));
}

/** `prepack` builds; what would be published must hold the program and no tests. */
function checkPackage() {
  // npm runs `prepack` with its output before the JSON.
  const text = output('npm', 'pack', '--dry-run', '--json', '--silent');
  const [{ files, size }] = JSON.parse(text.slice(text.indexOf('[')));
  const paths = files.map(({ path }) => path);
  const missing = NEEDED_FILES.filter((path) => !paths.includes(path));
  if (missing.length > 0) fail(`the package would lack ${missing.join(', ')}`);
  const foreign = paths.filter((path) => /^(test|bench|deploy|\.)/.test(path));
  if (foreign.length > 0) fail(`the package would hold ${foreign.join(', ')}`);
  console.log(`release: ${paths.length} files, ${Math.round(size / 1024)} KiB packed`);
}

function cutChangelog() {
  const today = new Date().toISOString().slice(0, 10);
  const text = changelog().replace(`${UNRELEASED}\n`, `${UNRELEASED}\n\n## [${version}] - ${today}\n`);
  writeFileSync('CHANGELOG.md', text);
  return section(text, `## [${version}] - ${today}`);
}

check();
checkPackage();
if (option === '--check') process.exit();
run('npm', 'test');
const notes = cutChangelog();
run('npm', 'version', version, '--no-git-tag-version', '--allow-same-version');
// The client is a package of its own, with the version of the server.
setVersion('src/client/package.json');
run('git', 'commit', '--quiet', '--all', '--message', `project: release ${version}`);
run('git', 'tag', '--annotate', `v${version}`, '--cleanup=verbatim', '--message', `${version}\n\n${notes}`);
console.log(
  `release: v${version} is tagged. Next: git push --follow-tags && npm publish && npm publish ./dist/client-package`,
);
