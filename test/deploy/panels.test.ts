import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Load } from '../support/load.ts';
import { NodeProcess } from '../support/node-process.ts';
import { isOnPath } from '../support/on-path.ts';
import { Prometheus } from '../support/prometheus.ts';
import { RedisServer } from '../support/redis.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { waitFor } from '../support/wait.ts';

const CHECK = fileURLToPath(new URL('panels-check.mjs', import.meta.url));
const ALERTS = fileURLToPath(new URL('../../deploy/prometheus/alerts.yml', import.meta.url));

/** Short, so that what takes a minute in production is seen within seconds. */
const SETTINGS = {
  ROOMCAST_HEARTBEAT_INTERVAL_MS: '1000',
  ROOMCAST_WEBSOCKET_BACKPRESSURE_BYTES: '65536',
  ROOMCAST_HISTORY_MESSAGES: '50',
  ROOMCAST_ROOMS: JSON.stringify([{ match: 'load:a', memberEvents: true }]),
};

/** As the HTTP API tells it. */
interface Rule {
  readonly name: string;
  readonly health: string;
  readonly state: 'inactive' | 'pending' | 'firing';
  readonly labels: { readonly severity: string };
}

/** What `panels-check.mjs` printed, and its exit code. */
async function checkPanels(prometheus: string): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [CHECK, '--prometheus', prometheus, '--window', '20']);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString();
    });
  }
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

// About 20 s: it ends as soon as everything has moved.
describe.skipIf(!isOnPath('prometheus'))(
  'Prometheus, over three nodes under load and one on a Redis Cluster',
  () => {
    let redis: RedisServer;
    let cluster: RedisCluster | undefined;
    /** For the panels that are about masters. */
    let onCluster: NodeProcess | undefined;
    let nodes: NodeProcess[] | undefined;
    let load: Load | undefined;
    let prometheus: Prometheus;

    const rules = async () => {
      const { groups } = await prometheus.get<{ groups: { rules: Rule[] }[] }>('/api/v1/rules');
      return groups.flatMap((group) => group.rules);
    };

    beforeAll(async () => {
      [redis, cluster] = await Promise.all([RedisServer.start(), RedisCluster.start({ replicas: 0 })]);
      const start = (url: string) =>
        NodeProcess.start({ flags: ['--host', '127.0.0.1', '--redis', url], env: SETTINGS });
      nodes = await Promise.all([start(redis.url), start(redis.url), start(redis.url)]);
      onCluster = await start(cluster.url);
      const targets = [...nodes, onCluster].map(({ url }) => new URL(url).host);
      prometheus = await Prometheus.start({ targets, rules: [ALERTS] });
      load = await Load.start(nodes);
    });

    afterAll(async () => {
      await load?.stop();
      await prometheus?.dispose();
      await Promise.all([...(nodes ?? []), onCluster].map((node) => node?.stop()));
      await Promise.all([redis?.dispose(), cluster?.dispose()]);
    });

    it('has data for every panel of every dashboard', { timeout: 90_000 }, async () => {
      let last = '';
      const complete = async () => {
        const { code, output } = await checkPanels(prometheus.url);
        last = output;
        return code === 0;
      };
      try {
        await waitFor(complete, { timeoutMs: 60_000, intervalMs: 2000, for: 'every panel to have data' });
      } finally {
        const lacking = last.split('\n').filter((line) => /^(EMPTY|FAILED)/.test(line));
        expect(lacking).toEqual([]);
      }
    });

    it('sees the slow reader and the recoveries that the load makes', async () => {
      const sum = async (metric: string) => {
        const path = `/api/v1/query?query=${encodeURIComponent(`sum(${metric})`)}`;
        const { result } = await prometheus.get<{ result: { value: [number, string] }[] }>(path);
        return Number(result[0]?.value[1]);
      };
      for (const metric of [
        'roomcast_slow_readers_total',
        'roomcast_recovered_messages_total',
        'roomcast_errors_total',
      ]) {
        await waitFor(async () => (await sum(metric)) > 0, { timeoutMs: 20_000, for: `${metric} to rise` });
      }
    });

    it('evaluates every alert without an error, and fires none that is critical', async () => {
      const all = await rules();
      expect(all.filter(({ health }) => health !== 'ok')).toEqual([]);
      expect(all.length).toBeGreaterThan(10);
      const firing = all.filter(({ state, labels }) => state === 'firing' && labels.severity === 'critical');
      expect(firing.map(({ name }) => name)).toEqual([]);
    });

    // The last one: Redis is gone after it.
    it('notices that Redis is gone, by the names that nodes give their links', async () => {
      await load?.stop();
      load = undefined;
      await Promise.all([redis.kill(), ...cluster!.servers.map((server) => server.kill())]);
      const due = ['RoomcastNotReady', 'RoomcastRedisDown'];
      const statesOf = async () =>
        (await rules()).filter(({ name }) => due.includes(name)).map(({ state }) => state);
      await waitFor(async () => (await statesOf()).every((state) => state !== 'inactive'), {
        timeoutMs: 20_000,
        intervalMs: 200,
        for: `${due.join(' and ')} to be pending`,
      });
    });
  },
);
