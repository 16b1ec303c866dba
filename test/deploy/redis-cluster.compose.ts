/**
 * The profile `cluster` of docker-compose.yml on a real engine, a part of `npm run test:compose`: three masters with a replica
 * each, and nodes on them behind a balancer of their own.
 */

import { afterAll, beforeAll, expect, it } from 'vitest';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { slotOf } from '../../src/backplane/redis/keys/slots.ts';
import { TestClient } from '../support/client.ts';
import { Crowd } from '../support/crowd.ts';
import { freePort } from '../support/ports.ts';
import { untilReadyz } from '../support/readyz.ts';
import { waitFor } from '../support/wait.ts';
import { ComposeCluster } from './compose-cluster.ts';

const SERVERS = [1, 2, 3, 4, 5, 6].map((n) => `redis-${n}`);
const MEMBERS = 12;
const PER_SECOND = 100;
/** As nodes have them by default. */
const KEYS = new Keys('rc', 128);

let compose: ComposeCluster;
let port: number;

beforeAll(async () => {
  port = await freePort();
  compose = await ComposeCluster.prepare({ CLUSTER_PUBLISHED_PORT: String(port) });
  await compose.down();
  await compose.compose('build', 'node');
}, 900_000);

afterAll(() => compose.down(), 120_000);

function profile(...args: readonly string[]): Promise<string> {
  return compose.compose('--profile', 'cluster', ...args);
}

async function up(): Promise<void> {
  await profile('up', '-d', '--no-build', 'cluster-haproxy');
  await balanced();
}

/** Resolves when the balancer has a node that is ready. */
function balanced(): Promise<void> {
  const options = { timeoutMs: 120_000, intervalMs: 200, for: 'the balancer to have a node' };
  return untilReadyz(`http://127.0.0.1:${port}`, 200, options);
}

function gather(room: string): Promise<Crowd> {
  return Crowd.gather({ room, urls: [`ws://127.0.0.1:${port}/ws`], members: [MEMBERS], publishers: [0, 0] });
}

async function redis(service: string, ...command: readonly string[]): Promise<string> {
  const [id] = await compose.containers(service);
  return compose.docker('exec', id!, 'redis-cli', ...command);
}

/** The service whose server is the master of this room. */
async function masterOf(room: string): Promise<string> {
  const slot = slotOf(KEYS.meta(room));
  for (const service of SERVERS) {
    const own = (await redis(service, 'cluster', 'nodes'))
      .split('\n')
      .find((line) => line.includes('myself'));
    const [, , flags, , , , , , ...slots] = own!.trim().split(' ');
    const ranges = slots.map((range) => range.split('-').map(Number));
    if (
      flags!.includes('master') &&
      ranges.some(([first, last]) => first! <= slot && slot <= (last ?? first!))
    )
      return service;
  }
  throw new Error(`no server has slot ${slot}`);
}

it('has three masters that have all slots, a replica of each, and three nodes that are healthy', async () => {
  await up();
  expect(await redis('redis-1', 'cluster', 'info')).toMatch(/cluster_state:ok[\s\S]*cluster_size:3/);
  const roles = await Promise.all(SERVERS.map(async (one) => (await redis(one, 'role')).split('\n')[0]));
  expect(roles.sort()).toEqual([...Array(3).fill('master'), ...Array(3).fill('slave')]);
  const nodes = await compose.containers('cluster-node');
  expect(nodes).toHaveLength(3);
  const health = ['inspect', '--format', '{{.State.Health.Status}}', ...nodes];
  await waitFor(async () => (await compose.docker(...health)).trim() === 'healthy\nhealthy\nhealthy', {
    timeoutMs: 60_000,
    for: 'the nodes to be healthy',
  });
}, 240_000);

it('carries what one client says to others, and loses nothing while a node is added', async () => {
  const crowd = await gather('added');
  crowd.publish(PER_SECOND);
  await crowd.heard(PER_SECOND);
  await profile('up', '-d', '--no-build', '--no-deps', '--scale', 'cluster-node=4', 'cluster-node');
  await waitFor(async () => (await compose.containers('cluster-node')).length === 4);
  await crowd.heard(PER_SECOND);
  const verdict = await crowd.conclude('a node added', () => crowd.answers());
  await crowd.disperse();
  expect(verdict).toMatchObject({ faults: [], forgotten: [], gaps: 0, resets: 0 });
}, 120_000);

it('goes on when the master of a room is killed: its members are told of a reset', async () => {
  const crowd = await gather('killed');
  crowd.publish(PER_SECOND);
  await crowd.heard(PER_SECOND);
  const [master] = await compose.containers(await masterOf('killed'));
  await compose.docker('kill', master!);
  await crowd.heard(3 * PER_SECOND, 120_000);
  const verdict = await crowd.conclude('a master killed', () => crowd.answers());
  for (const log of crowd.logs) expect(log.count('reset')).toBeGreaterThan(0);
  await crowd.disperse();
  expect(verdict).toMatchObject({ faults: [] });
  await compose.docker('start', master!);
  await waitFor(
    async () =>
      /master_link_status:up/.test(await compose.docker('exec', master!, 'redis-cli', 'info', 'replication')),
    {
      timeoutMs: 60_000,
      for: 'it to follow its successor',
    },
  );
}, 240_000);

it('has what was said after all containers were removed and made again', async () => {
  const before = await TestClient.connect(`ws://127.0.0.1:${port}/ws`);
  const position = await before.ok<{ epoch: string; offset: number }>('publish', 'kept', 'before');
  await before.close();
  await profile('down', '--timeout', '20');
  await up();
  const after = await TestClient.connect(`ws://127.0.0.1:${port}/ws`);
  await waitFor(async () => (await after.request('join', 'kept', { last: 1 }))[0] === 'ok', {
    for: 'the room',
  });
  expect(await after.next(([type]) => type === 'message')).toMatchObject({
    1: 'kept',
    2: position.offset,
    5: 'before',
  });
  await after.close();
}, 240_000);
