// Finishes the package roomcast-client, and makes dist/client.js: the client as one file for a page, served by each node.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { rolldown } from 'rolldown';

mkdirSync('dist/client-package', { recursive: true });
for (const [from, to] of [
  ['src/client/package.json', 'package.json'],
  ['docs/client.md', 'README.md'],
  ['LICENSE', 'LICENSE'],
]) {
  copyFileSync(from, `dist/client-package/${to}`);
}

/** Names of properties that only the client's own files use. In the files for pages they are shortened, in all of them alike; a name that pages, nodes, storage or the platform know must not be here. */
const INTERNAL_NAMES = `
  abandon accepted answerWithinMs answered answers ask authenticated begin bufferedBytes build caughtUp chunk closed connected connecting
  dead disconnected drop emit emitter encodePublish end ended expired failed failure findWebSocket flush forConnection forget frames
  hasDoubtful heard hold inspector isDoubtful isNeeded isOpen isOver isReady joinOptions kept lastFrom list loadFallback lost moved open opened
  ownSettled passOwn pauseFor place placeAt prepared probe put ready release released result resumed say sent session start stop stored take
  timing tokens urls use waitMs waiting wasReady
`;
/** A file of its own, loaded where WebSockets cannot be opened. */
const FALLBACK = { id: './client-sse.js', external: true };
const include = new RegExp(`^(${INTERNAL_NAMES.trim().split(/\s+/).join('|')})$`);

/** In place of the checks of names, for the smallest file: who writes a page uses another one. */
const NO_CHECKS = ['checkOptions', 'checkRoomOptions', 'checkSettings', 'checkEvent']
  .map((name) => `export function ${name}() {}`)
  .join('\n');

/**
 * One minified module, and the short names that it has. Nothing in src/client does anything when it is imported, so what is not
 * used is left out. `cache`: names of a module that this one works with. `isChecked`: with checks of names.
 */
async function bundle(input, { cache = {}, isChecked = true } = {}) {
  const build = await rolldown({
    input,
    platform: 'browser',
    treeshake: { moduleSideEffects: false },
    plugins: [
      {
        name: 'fallback',
        resolveId: (id, importer) => (importer && id.endsWith('/sse-transport.js') ? FALLBACK : null),
      },
      {
        name: 'checks',
        load: (id) => (!isChecked && id.endsWith('/name-checks.js') ? NO_CHECKS : null),
      },
    ],
  });
  const { output, mangleCache } = await build.generate({
    format: 'es',
    comments: false,
    minify: { compress: true, mangle: true, mangleProps: { include, cache } },
  });
  await build.close();
  if (output.length !== 1)
    throw new Error(`${input} became ${output.length} files: what is imported on demand?`);
  return { code: output[0].code, names: mangleCache };
}

const json = await bundle('dist/client-package/client/json.js', { isChecked: false });
const msgpack = await bundle('dist/client-package/client/index.js', { cache: json.names });
// Loaded by either of them: what they pass to each other needs the same names in all three.
const sse = await bundle('dist/client-package/client/sse-transport.js', { cache: msgpack.names });
writeFileSync('dist/client-json.js', json.code);
writeFileSync('dist/client.js', msgpack.code);
writeFileSync('dist/client-sse.js', sse.code);
