/**
 * One Redis Cluster for all files of a run that ask for one: three masters without replicas, with keys of each test under a
 * prefix of its own. It starts when the first file asks, since that takes two seconds, and ends with the run.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestProject } from 'vitest/node';
import { RedisCluster } from './redis-cluster.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Answers with the URLs of the cluster, once it runs. */
    sharedCluster: string;
  }
}

/** Called by the runner, in its own process, before all tests; what it returns, after them. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  let starting: Promise<RedisCluster> | null = null;
  const desk = createServer((_request, response) => {
    starting ??= RedisCluster.start({ replicas: 0 });
    starting.then(
      ({ url }) => response.end(url),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await once(desk.listen(0, '127.0.0.1'), 'listening');
  provide('sharedCluster', `http://127.0.0.1:${(desk.address() as AddressInfo).port}`);
  return async () => {
    desk.close();
    const cluster = await (starting as Promise<RedisCluster> | null)?.catch(() => null);
    await cluster?.dispose();
  };
}
