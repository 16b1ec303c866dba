import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/deploy/*.compose.ts'],
    // Each step stands on the one before.
    bail: 1,
    retry: 0,
  },
});
