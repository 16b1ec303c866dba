/** What the conformance suites stand on: both backplanes on a Redis of the file's own, closed after each test. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { Backplane } from '../../src/backplane/backplane.ts';
import { type Running, startMemory, startRedis, type Times } from './backplanes.ts';
import { RedisServer } from './redis.ts';

export interface UsedBackplanes {
  /** Not to be used before the tests run. */
  readonly server: RedisServer;
  /** What a test started: closed when it is over. */
  readonly open: Backplane[];
  /** For `describe.each`. */
  readonly factories: readonly (readonly [kind: string, start: (times?: Times) => Promise<Running>])[];
}

/** Called at the top of a test file. */
export function useBackplanes(): UsedBackplanes {
  let server: RedisServer;
  const open: Backplane[] = [];
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.dispose());
  afterEach(async () => {
    for (const backplane of open.splice(0)) await backplane.close();
  });
  return {
    get server() {
      return server;
    },
    open,
    factories: [
      ['memory', startMemory],
      ['redis', (times) => startRedis(server.url, times)],
    ],
  };
}
