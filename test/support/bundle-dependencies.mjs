// Runs before the tests, after the build. Puts each dependency of dist/ as one file into dist/node_modules, where Node looks first:
// a node starts in half the time, and the tests start many hundreds. What is in dist/ itself stays as it was built. The next
// build removes the folder, and no package holds it.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const TARGET = 'dist/node_modules';
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

rmSync(TARGET, { recursive: true, force: true });
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
