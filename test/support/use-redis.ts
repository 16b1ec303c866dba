/** What tests of a Redis that fails stand on: one for the file, others for harm, and all that a test opened closed after it. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { DeafeningProxy } from './proxy.ts';
import { RedisServer, type RedisSettings } from './redis.ts';

export interface UsedRedis {
  /** The file's own. Not to be used before the tests run. */
  readonly server: RedisServer;
  /** What a test started on it: closed when it is over, before the proxies and servers. */
  readonly open: { close(): Promise<void> }[];
  readonly proxies: DeafeningProxy[];
  /** A server of the test's own, for harm. */
  ownServer(settings?: RedisSettings): Promise<RedisServer>;
}

/** Called at the top of a test file. */
export function useRedis(): UsedRedis {
  let server: RedisServer;
  const servers: RedisServer[] = [];
  const open: { close(): Promise<void> }[] = [];
  const proxies: DeafeningProxy[] = [];
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.dispose());
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    for (const proxy of proxies.splice(0)) proxy.dispose();
    for (const one of servers.splice(0)) await one.dispose();
  });
  return {
    get server() {
      return server;
    },
    open,
    proxies,
    async ownServer(settings = {}) {
      const own = await RedisServer.start(settings);
      servers.push(own);
      return own;
    },
  };
}
