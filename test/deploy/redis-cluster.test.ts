/** The Redis Cluster of the Compose file and of the manifests, with real servers and their own settings. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/ports.ts';
import { RedisServer, type RedisSettings } from '../support/redis.ts';

const run = promisify(execFile);
const FOLDER = fileURLToPath(new URL('../../deploy/redis/', import.meta.url));
/** Of the container, not of this machine. */
const ELSEWHERE = /^(include|bind|dir|cluster-config-file)$/;

/** What a file of settings says, but for paths and addresses. */
function settingsOf(name: string): RedisSettings {
  const lines = readFileSync(FOLDER + name, 'utf8').split('\n');
  const settings = lines.filter((line) => /^[a-z]/.test(line)).map((line) => /^(\S+) (.*)$/.exec(line)!);
  return Object.fromEntries(
    settings
      .filter(([, key]) => !ELSEWHERE.test(key!))
      .map(([, key, value]) => [key!, value!.replace('""', '')]),
  );
}

let servers: RedisServer[];

beforeAll(async () => {
  const settings = { ...settingsOf('redis.conf'), ...settingsOf('cluster.conf') };
  servers = await Promise.all(
    [0, 1, 2].map(async () => RedisServer.start({ ...settings, 'cluster-port': String(await freePort()) })),
  );
});

afterAll(() => Promise.all(servers.map((server) => server.dispose())));

describe('create-cluster.sh', () => {
  it('makes a cluster of servers that have none, and leaves one that exists as it is', {
    timeout: 30_000,
  }, async () => {
    const env = {
      ...process.env,
      CLUSTER_SERVERS: servers.map(({ port }) => `localhost:${port}`).join(' '),
      CLUSTER_REPLICAS: '0',
    };
    const create = () => run('sh', [`${FOLDER}create-cluster.sh`], { env });
    const owners = async () => (await servers[2]!.client.cluster('SLOTS')) as unknown[];
    expect((await create()).stdout).toMatch(/the cluster serves all slots\n$/);
    const before = await owners();
    expect(before).toHaveLength(3);
    expect((await create()).stdout).toBe('the cluster serves all slots\n');
    expect(await owners()).toEqual(before);
    expect(await servers[0]!.client.cluster('INFO')).toContain('cluster_state:ok');
  });
});
