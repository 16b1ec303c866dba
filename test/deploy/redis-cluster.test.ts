/** The Redis Cluster of the Compose file and of the manifests, with real servers and their own settings. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { startRedis } from '../support/backplanes.ts';
import { KEPT, publishTiny, UNKEPT } from '../support/frames.ts';
import { freePort } from '../support/ports.ts';
import { entryOf, startPresence } from '../support/presence.ts';
import { RedisServer, type RedisSettings } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

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

describe('the documented user of a Redis Cluster', () => {
  it('may do all that a node does, and was refused nothing', async () => {
    const document = readFileSync(`${FOLDER}../README.md`, 'utf8');
    const line = /^ACL SETUSER roomcast .*ssubscribe.*$/m.exec(document)![0].split(' ');
    for (const { client } of servers) await client.call(line[0]!, ...line.slice(1));
    const url = servers.map((server) => server.url.replace('//', '//roomcast:PASSWORD@')).join(',');
    const settings = { cluster: true, keyPrefix: 'rc', probeIntervalMs: 20 };
    const running = await startPresence(await startRedis(url, settings));
    const { backplane, heard } = running;
    for (let i = 0; i < 12; i++) {
      const room = `room:${i}`;
      await backplane.subscribe(room);
      expect((await publishTiny(backplane, room, 'one', { key: 'k' })).error).toBeNull();
      expect((await publishTiny(backplane, room, 'two', { history: UNKEPT })).error).toBeNull();
      await heard.untilMessages(room, 2);
      expect((await backplane.read(room, KEPT, { limit: 10 })).envelopes).toHaveLength(1);
      expect(await backplane.subscribers(room)).toBe(1);
      backplane.presence.enter(room, entryOf(running, i, 'ann'), true);
      backplane.unsubscribe(room);
    }
    await backplane.signal('to all');
    await waitFor(() => heard.signals.length === 1, { for: 'the signal' });
    await backplane.denials.deny('ann', 60_000);
    await backplane.presence.close();
    await backplane.close();
    for (const { client } of servers) {
      const refused = ((await client.call('ACL', 'LOG')) as unknown[][]).map((fields) => fields[7]);
      // The names of links are the one thing that a node can do without.
      expect(refused.filter((object) => object !== 'client|setname')).toEqual([]);
    }
  });
});

describe('hand-over.sh', () => {
  it('has the replica of a master take over, and leaves a replica alone', { timeout: 30_000 }, async () => {
    const [master] = servers;
    const replica = await RedisServer.start({
      ...settingsOf('redis.conf'),
      ...settingsOf('cluster.conf'),
      'cluster-port': String(await freePort()),
    });
    servers.push(replica);
    for (const server of servers.slice(0, 3)) {
      const [, busPort] = (await server.client.config('GET', 'cluster-port')) as string[];
      await replica.client.call('CLUSTER', 'MEET', '127.0.0.1', server.port, busPort!);
    }
    const id = await master!.client.cluster('MYID');
    await waitFor(() => replica.client.cluster('REPLICATE', id), { for: 'the replica to know its master' });
    const isKnown = async (server: RedisServer) =>
      new RegExp(`:${replica.port}@\\S+ slave ${id} `).test((await server.client.cluster('NODES')) as string);
    await waitFor(
      async () =>
        (await master!.info('replication', 'slave0'))?.includes('state=online') &&
        (await Promise.all(servers.slice(0, 3).map(isKnown))).every(Boolean),
      { for: 'all to know the replica' },
    );
    const handOver = (port: number) =>
      run('sh', [`${FOLDER}hand-over.sh`], { env: { ...process.env, REDIS_PORT: String(port) } });
    await handOver(master!.port);
    expect(await replica.info('replication', 'role')).toBe('master');
    expect(await master!.info('replication', 'role')).toBe('slave');
    await handOver(master!.port);
    expect(await master!.info('replication', 'role')).toBe('slave');
  });
});

describe('the manifests of deploy/kubernetes/redis-cluster', () => {
  const folder = `${FOLDER}../kubernetes/redis-cluster/`;
  // biome-ignore lint/suspicious/noExplicitAny: a manifest's shape is its kind's; tests fail where it is another.
  const read = (name: string): any => parse(readFileSync(folder + name, 'utf8'));
  const server = read('stateful-set.yaml');
  const keeper = read('keeper.yaml').spec.jobTemplate.spec.template;

  it('are all in the kustomization', () => {
    const files = readdirSync(folder).filter((name) => name !== 'kustomization.yaml');
    expect(read('kustomization.yaml').resources.sort()).toEqual(files.sort());
  });

  it('hold the files of deploy/redis', () => {
    const files = readdirSync(FOLDER).map((name) => [name, readFileSync(FOLDER + name, 'utf8')]);
    expect(read('config.yaml').data).toEqual(Object.fromEntries(files));
  });

  it('name servers that are there, and make a cluster of all of them', () => {
    const { name } = server.metadata;
    const { value } = keeper.spec.containers[0].env.find(
      (one: { name: string }) => one.name === 'CLUSTER_SERVERS',
    );
    const pods = Array.from({ length: server.spec.replicas }, (_, i) => `${name}-${i}.${name}:6379`);
    expect(value.split(' ')).toEqual(pods);
    expect(server.spec.serviceName).toBe(read('service.yaml').metadata.name);
  });

  it('select the servers, all of them', () => {
    const { labels } = server.spec.template.metadata;
    expect(read('service.yaml').spec.selector).toEqual(labels);
    expect(server.spec.selector.matchLabels).toEqual(labels);
    expect(read('pod-disruption-budget.yaml').spec.selector.matchLabels).toEqual(labels);
    expect(labels).toMatchObject(read('network-policy.yaml').spec.podSelector.matchLabels);
    expect(keeper.metadata.labels).toMatchObject(read('network-policy.yaml').spec.podSelector.matchLabels);
  });

  it.each([
    ['server', server.spec.template.spec],
    ['keeper', keeper.spec],
  ])('hold the %s to the restricted standard', (_, spec) => {
    expect(spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(spec.containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });
});
