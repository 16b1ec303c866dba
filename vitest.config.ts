import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { defineConfig } from 'vitest/config';

/** Found, not listed: a new folder of tests is never left out. */
const folders = readdirSync('test', { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'support')
  .map(({ name }) => name);
const UNIT = ['unit', 'protocol', 'node'];

const LEFTOVERS = 'test/support/leftovers.ts';
/** What a project has beside what all have. */
const SETTINGS: Readonly<Record<string, object>> = {
  conformance: { globalSetup: [LEFTOVERS, 'test/support/shared-cluster.ts'] },
  // A world puts everything back that it replaces, and importing all of the sources takes as long as many of the tests.
  simulation: { isolate: false },
};

/** The hooks are tested with the newest React, and once more with the oldest that they run with. */
const REACT_18 = Object.fromEntries(
  ['react/jsx-dev-runtime', 'react/jsx-runtime', 'react-dom/client', 'react-dom/server', 'react'].map(
    (name) => [
      name,
      createRequire(new URL('test/support/react-18/package.json', import.meta.url)).resolve(name),
    ],
  ),
);

/** One project for each folder of test/README.md: `npm run test:unit` and the like run one, `npm test` runs all. */
function project(name: string, within: readonly string[], settings: object = {}) {
  return {
    test: {
      name,
      include: within.map((folder) => `test/${folder}/**/*.test.{ts,tsx}`),
      globalSetup: [LEFTOVERS],
      testTimeout: 30_000,
      hookTimeout: 60_000,
      retry: 0,
      ...settings,
    },
  };
}

export default defineConfig({
  test: {
    projects: [
      // Nothing here has state that outlives a test, so that the files of a worker share their modules: a third less time.
      project('unit', UNIT, { isolate: false, globalSetup: [] }),
      {
        ...project('client-react-18', ['client/react'], { env: { REACT: '18' } }),
        resolve: { alias: REACT_18 },
      },
      ...folders.filter((name) => !UNIT.includes(name)).map((name) => project(name, [name], SETTINGS[name])),
    ],
    reporters: process.env.CI === 'true' ? ['default', './test/support/no-skips.ts'] : ['default'],
    // Two cores: real processes and a real Redis run beside the tests, so files run a few at a time.
    pool: 'forks',
    maxWorkers: 2,
  },
});
