// Runs before the tests, after the build. Makes dist-test/: what the nodes and commands of the tests run. It has the files of dist/ as they
// were built, and each package that they import as one file in dist-test/node_modules, where Node looks first: a node starts with half the
// work, and the tests start many hundreds. The next build removes the folder. Tests of what a node holds in memory run dist/, since V8 keeps
// and drops the code of large files in other steps.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const PROGRAM = 'dist-test';
const TARGET = join(PROGRAM, 'node_modules');
/** Nothing that runs in a node. */
const LEFT_OUT = /\.d\.ts$|\.map$|^dist\/(client-package|api|node_modules)\b/;
/** It finds its native part beside itself. */
const NATIVE = ['uWebSockets.js'];

/** `zod`, and `unpack` of `msgpackr/unpack`. */
function partsOf(specifier) {
  const [name, ...below] = specifier.split('/');
  return { name, subpath: below.join('/') };
}

function importedBy(folder) {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  const found = new Set();
  for (const file of readdirSync(folder, { recursive: true }).filter((path) => path.endsWith('.js'))) {
    const text = readFileSync(join(folder, file), 'utf8');
    for (const [, specifier] of text.matchAll(/\b(?:from|import\()\s*['"]([\w./-]+)['"]/g))
      found.add(specifier);
  }
  return [...found].filter((specifier) => {
    const { name } = partsOf(specifier);
    return name in dependencies && !NATIVE.includes(name);
  });
}

/** A module with all that the specifier exports. Their names are asked for, since a bundle of CommonJS does not tell them to Node. */
async function moduleOf(specifier) {
  const from = JSON.stringify(specifier);
  const { default: byDefault, ...named } = await import(specifier);
  const names = Object.keys(named).filter((name) => name !== 'module.exports');
  const taken = names.map((name, i) => `${name}: _${i}`).join(', ');
  const given = names.map((name, i) => `_${i} as ${name}`).join(', ');
  const lines = [`import * as all from ${from};`, `const { ${taken} } = all;`, `export { ${given} };`];
  if (byDefault !== undefined) lines.push(`export { default } from ${from};`);
  return lines.join('\n');
}

rmSync(PROGRAM, { recursive: true, force: true });
cpSync('dist', PROGRAM, { recursive: true, filter: (path) => !LEFT_OUT.test(path) });
const specifiers = importedBy('dist');
const entries = new Map();
for (const specifier of specifiers) entries.set(`entry:${specifier}`, await moduleOf(specifier));
const bundle = await rolldown({
  input: Object.fromEntries(specifiers.map((specifier) => [`${specifier}/index`, `entry:${specifier}`])),
  platform: 'node',
  plugins: [
    {
      name: 'entries',
      resolveId: (id) => (entries.has(id) ? id : null),
      load: (id) => entries.get(id) ?? null,
    },
  ],
});
await bundle.write({ dir: TARGET, format: 'es', chunkFileNames: '.chunks/[name]-[hash].js' });
await bundle.close();
const exportsOf = {};
for (const { name, subpath } of specifiers.map(partsOf)) {
  const [shown, path] = subpath === '' ? ['.', './index.js'] : [`./${subpath}`, `./${subpath}/index.js`];
  exportsOf[name] = { ...exportsOf[name], [shown]: path };
}
for (const [name, exports] of Object.entries(exportsOf)) {
  mkdirSync(join(TARGET, name), { recursive: true });
  writeFileSync(join(TARGET, name, 'package.json'), JSON.stringify({ name, type: 'module', exports }));
}
