/** Makes one file of the simulation and the code that it runs, so that plain Node runs it, with or without a planted fault. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

/**
 * `mutation`: `{ file, from, to }`, a text in a source file, relative to the repository, that stands there once, and what is put in its place.
 * Throws where it does not stand there. `forCoverage`: with a source map beside it, and with what nothing uses.
 */
export async function bundle(entry, output, mutation = null, forCoverage = false) {
  let isApplied = mutation === null;
  const mutated = mutation && resolve(mutation.file);
  const source = {
    name: 'source',
    load(id) {
      if (!id.endsWith('.ts')) return null;
      let code = readFileSync(id, 'utf8');
      if (id === mutated) {
        if (code.split(mutation.from).length !== 2)
          throw new Error(`${mutation.file} does not have once: ${mutation.from}`);
        code = code.replace(mutation.from, () => mutation.to);
        isApplied = true;
      }
      // Files beside a module are read from where it was.
      return {
        code: code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href)),
        moduleType: 'ts',
      };
    },
  };
  const external = (id) => !id.startsWith('.') && !id.startsWith('/');
  const made = await rolldown({
    input: entry,
    platform: 'node',
    external: (id) => external(id) && id !== 'luaparse',
    plugins: [source],
    logLevel: 'silent',
    treeshake: !forCoverage,
  });
  await made.write({ file: output, format: 'esm', codeSplitting: false, sourcemap: forCoverage });
  if (!isApplied) throw new Error(`${mutation.file} is not part of the simulation`);
}
