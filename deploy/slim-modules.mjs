// Removes from node_modules what a node never loads: native builds for other machines, types, source maps,
// tests and docs. Licences stay. Run it in the image's build, with the Node that will run there: that decides
// which native build is kept.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = process.argv[2];
if (root === undefined) throw new Error('usage: slim-modules.mjs <node_modules>');

const NATIVE = /^uws_.*\.node$/;
const OWN_NATIVE = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;

// TypeScript, including declarations (.d.ts, .d.mts, .d.cts); maps; prose, except licences.
const UNUSED_FILE = /\.(map|ts|mts|cts|flow|markdown|md|tsbuildinfo)$/i;
const LICENCE = /^(licen[cs]e|copying|notice)/i;
const UNUSED_FOLDERS = new Set([
  '.github',
  '__tests__',
  'benchmark',
  'benchmarks',
  'docs',
  'example',
  'examples',
  'test',
  'tests',
]);

/** Only at the top of a package: deeper down such a name may be code. */
function slimPackage(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && UNUSED_FOLDERS.has(entry.name)) rmSync(path, { recursive: true });
  }
  slimFiles(folder);
}

function slimFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) slimFiles(path);
    else if (isUnused(entry.name)) rmSync(path);
  }
}

function isUnused(name) {
  if (NATIVE.test(name)) return name !== OWN_NATIVE;
  return UNUSED_FILE.test(name) && !LICENCE.test(name);
}

function packagesIn(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .flatMap(({ name }) => (name.startsWith('@') ? packagesIn(join(folder, name)) : [join(folder, name)]));
}

for (const folder of packagesIn(root)) slimPackage(folder);
// Shims of commands and npm's own notes: nothing here is run by name.
rmSync(join(root, '.bin'), { recursive: true, force: true });
rmSync(join(root, '.package-lock.json'), { force: true });
