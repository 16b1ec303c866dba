import { helloFacts } from '../../src/connection/hello-facts.ts';

/** What nodes of tests that have no configuration tell their clients. */
export const HELLO_FACTS = helloFacts({
  dedupWindowMs: 300_000,
  heartbeatMs: 25_000,
  limits: {
    roomsPerConnection: 100,
    commandsPerSecond: 1000,
    commandBurst: 5000,
    bytesPerSecond: 2_097_152,
    historyPage: 1000,
    presenceBytes: 1024,
  },
});
