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

/** Names of properties that only the client's own files use. In the files for pages they are shortened; a name that pages, nodes, storage, another of these files (client-sse.js) or the platform know must not be here: each file shortens names in its own way. */
const INTERNAL_NAMES = `
  accepted answerWithinMs ask authenticated begin caughtUp connected connecting dead disconnected doubtfulSince drop emit emitter
  ended expired failed findWebSocket flush forConnection forget hasDoubtful heard inspector isDoubtful isListWanted isReady isSettled
  lastFrom list loadFallback lost member moved own ownSettled passOwn placeAt prepared probe put release request released sentAt sentOn session settled
  stored take timing tokens urls waitMs wasReady watchMembers
`;
/** A file of its own, loaded where WebSockets cannot be opened. */
const FALLBACK = { id: './client-sse.js', external: true };
const mangleProps = { include: new RegExp(`^(${INTERNAL_NAMES.trim().split(/\s+/).join('|')})$`) };

/** One minified module. Nothing in src/client does anything when it is imported, so what is not used is left out. */
export async function bundle(input) {
  const build = await rolldown({
    input,
    platform: 'browser',
    treeshake: { moduleSideEffects: false },
    plugins: [
      {
        name: 'fallback',
        resolveId: (id, importer) => (importer && id.endsWith('/sse-transport.js') ? FALLBACK : null),
      },
    ],
  });
  const { output } = await build.generate({
    format: 'es',
    minify: { compress: true, mangle: true, mangleProps },
  });
  await build.close();
  if (output.length !== 1)
    throw new Error(`${input} became ${output.length} files: what is imported on demand?`);
  return output[0].code;
}

writeFileSync('dist/client-sse.js', await bundle('dist/client-package/client/sse-transport.js'));
writeFileSync('dist/client.js', await bundle('dist/client-package/client/index.js'));
writeFileSync('dist/client-json.js', await bundle('dist/client-package/client/json.js'));
