import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: ['test/support/leftovers.ts'],
    include: ['test/**/*.test.ts'],
    // Two cores: real processes and a real Redis run beside the tests, so files run a few at a time.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    retry: 0,
  },
});
