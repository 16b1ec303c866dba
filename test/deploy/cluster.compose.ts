/**
 * The whole of docker-compose.yml on a real engine: `npm run test:compose`. Not part of `npm test`, which must run where there
 * is no engine. What it measures is printed.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findChromium, launchChromium } from '../support/browser.ts';
import { Crowd } from '../support/crowd.ts';
import { waitFor } from '../support/wait.ts';
import { ComposeCluster } from './compose-cluster.ts';

const NODES = 3;
/** Members and publishers of the rooms whose nodes are ended under them. */
const MEMBERS = 24;
const PUBLISHERS = 3;
const PER_SECOND = 200;

/** What the load driver does by default: 200 members in 20 rooms and 50 messages a second make 500 deliveries a second. */
const LOAD_CONNECTIONS = 200;
const LEAST_DELIVERED = 400;
const DELIVERED = 'sum(rate(roomcast_messages_delivered_total[10s]))';

let cluster: ComposeCluster;

beforeAll(async () => {
  cluster = await ComposeCluster.prepare({ ROOMCAST_HISTORY_MESSAGES: '5000' });
  await cluster.down();
  await cluster.compose('build', 'node');
}, 900_000);

afterAll(() => cluster.down(), 120_000);

function seconds(fromMs: number): string {
  return `${((performance.now() - fromMs) / 1000).toFixed(1)} s`;
}

function gather(room: string): Promise<Crowd> {
  const publishers = Array.from({ length: PUBLISHERS }, () => 0);
  return Crowd.gather({ room, urls: [cluster.wsUrl], members: [MEMBERS], publishers });
}

/** How connections ended, by close code. */
function closesOf({ members, publishers }: Crowd): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { closes } of [...members, ...publishers]) {
    for (const [code, count] of closes) counts.set(code, (counts.get(code) ?? 0) + count);
  }
  return counts;
}

describe('docker compose up', () => {
  it('brings up three nodes behind the balancer', async () => {
    const fromMs = performance.now();
    await cluster.up();
    console.log(`from up to the first client: ${seconds(fromMs)}`);
    await cluster.balanced(NODES);
    console.log(`from up to ${NODES} nodes in service: ${seconds(fromMs)}`);
  }, 120_000);

  it('has every service healthy', async () => {
    if (cluster.without.length > 0) console.log(`left out: ${cluster.without.join(', ')}`);
    const areHealthy = async () => {
      const states = await cluster.states();
      if (Object.values(states).every((state) => state === 'healthy')) return true;
      throw new Error(JSON.stringify(states));
    };
    await waitFor(areHealthy, { timeoutMs: 60_000, intervalMs: 200, for: 'all services to be healthy' });
    expect(Object.keys(await cluster.states())).toHaveLength(cluster.services.length + NODES - 1);
  }, 90_000);

  it('runs nodes without root, without capabilities and on a read-only root', async () => {
    const [id] = await cluster.containers('node');
    const status = await cluster.docker('exec', id!, 'cat', '/proc/1/status');
    expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).toBe('10001');
    expect(/^CapEff:\s+(\d+)/m.exec(status)?.[1]).toMatch(/^0+$/);
    expect(/^NoNewPrivs:\s+(\d)/m.exec(status)?.[1]).toBe('1');
    await expect(cluster.docker('exec', id!, 'touch', '/app/x')).rejects.toThrow('Read-only file system');
  });

  it('keeps metrics, and the API without a key, from the outside', async () => {
    expect((await fetch(`${cluster.url}/metrics`)).status).toBe(404);
    const body = JSON.stringify({ room: 'lobby', data: 1 });
    expect((await fetch(`${cluster.url}/v1/publish`, { method: 'POST', body })).status).toBe(403);
  });
});

describe.skipIf(findChromium() === null)('the demo page through the balancer', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());

  async function open(name: string): Promise<{ page: Page; node: string }> {
    const page = await browser.newPage();
    await page.goto(`${cluster.url}/?name=${name}&room=compose`);
    const status = page.locator('#status', { hasText: 'connected to' });
    await status.waitFor({ timeout: 10_000 });
    return { page, node: /connected to (\w+)/.exec((await status.textContent()) ?? '')![1]! };
  }

  it('shows what is said to a page on another node', async () => {
    const ann = await open('Ann');
    const bob = await open('Bob');
    expect(ann.node).not.toBe(bob.node);
    for (const { page } of [ann, bob]) await page.getByRole('button', { name: 'Join' }).click();
    await bob.page.getByText('You joined compose').waitFor();
    await bob.page.locator('#text').fill('over the backplane');
    await bob.page.locator('#send').click();
    await ann.page.getByText('over the backplane').waitFor({ timeout: 5_000 });
    console.log(`Ann on ${ann.node}, Bob on ${bob.node}`);
  }, 60_000);
});

describe('--scale node=5', () => {
  it('is picked up by the balancer and by Prometheus', async () => {
    const fromMs = performance.now();
    await cluster.scale(5);
    await cluster.balanced(5);
    console.log(`five nodes in service after ${seconds(fromMs)}`);
    const up = async () =>
      (await cluster.targets()).filter(({ job, health }) => job === 'roomcast' && health === 'up').length;
    await waitFor(async () => (await up()) === 5, { timeoutMs: 30_000, intervalMs: 200 });
  }, 120_000);

  it('can be taken back with nothing lost', async () => {
    const crowd = await gather('scale');
    crowd.publish(PER_SECOND);
    await crowd.heard(PER_SECOND);
    await cluster.scale(NODES);
    await crowd.heard(PER_SECOND);
    const verdict = await crowd.conclude('five nodes to three');
    await crowd.disperse();
    expect(verdict).toMatchObject({ faults: [], forgotten: [], gaps: 0, resets: 0 });
    await cluster.balanced(NODES);
  }, 120_000);
});

describe('under clients that publish through the balancer', () => {
  it('a killed node loses nothing', async () => {
    const crowd = await gather('kill');
    crowd.publish(PER_SECOND);
    await crowd.heard(PER_SECOND);
    const [victim] = await cluster.containers('node');
    await cluster.docker('kill', victim!);
    await crowd.heard(3 * PER_SECOND);
    await cluster.docker('start', victim!);
    await cluster.balanced(NODES);
    await crowd.heard(PER_SECOND);
    const verdict = await crowd.conclude('one of three nodes killed', () => crowd.answers());
    await crowd.disperse();
    expect(verdict).toMatchObject({ faults: [], forgotten: [], gaps: 0, resets: 0 });
  }, 120_000);

  it('a node that is told to stop ends in order', async () => {
    const [id] = await cluster.containers('node');
    const crowd = await gather('stop');
    const fromMs = performance.now();
    await cluster.docker('stop', '-t', '30', id!);
    console.log(`a node with clients stopped within ${seconds(fromMs)}`);
    expect(await cluster.docker('inspect', '--format', '{{.State.ExitCode}}', id!)).toBe('0\n');
    await crowd.disperse();
    await cluster.docker('start', id!);
    await cluster.balanced(NODES);
  }, 60_000);

  it('a rolling restart loses nothing, and no upgrade fails', async () => {
    const crowd = await gather('rolling');
    crowd.publish(PER_SECOND);
    await crowd.heard(PER_SECOND);
    const fromMs = performance.now();
    for (const id of await cluster.containers('node')) {
      await cluster.restart(id);
      await cluster.balanced(NODES);
    }
    console.log(`rolling restart took ${seconds(fromMs)}`);
    await crowd.heard(PER_SECOND);
    const verdict = await crowd.conclude('rolling restart', () => crowd.answers());
    const closes = closesOf(crowd);
    // What it says of a connection that did not get through is what one wants to know then.
    if (closes.size > 1) console.log(await cluster.compose('logs', '--no-color', 'haproxy', 'node'));
    await crowd.disperse();
    expect(verdict).toMatchObject({ faults: [], forgotten: [], gaps: 0, resets: 0 });
    // 1012 is the goodbye of a draining node. A refused upgrade would be a 1006.
    expect([...closes.keys()]).toEqual([1012]);
  }, 180_000);
});

describe('a roll-out as deploy/README.md describes it', () => {
  it('replaces every node with nothing lost, and has three in service throughout', async () => {
    const crowd = await gather('rollout');
    crowd.publish(PER_SECOND);
    const old = await cluster.containers('node');
    await cluster.scale(2 * NODES, '--no-recreate');
    await cluster.balanced(2 * NODES);
    for (const id of old) {
      await cluster.docker('stop', '-t', '30', id);
      await cluster.docker('rm', id);
    }
    await cluster.balanced(NODES);
    expect((await cluster.containers('node')).filter((id) => old.includes(id))).toEqual([]);
    const verdict = await crowd.conclude('roll-out', () => crowd.answers());
    const closes = closesOf(crowd);
    await crowd.disperse();
    expect(verdict).toMatchObject({ faults: [], forgotten: [], gaps: 0, resets: 0 });
    expect([...closes.keys()]).toEqual([1012]);
  }, 120_000);
});

describe('--profile load', () => {
  it('moves the metrics, and its clients miss nothing', async () => {
    await cluster.compose('--profile', 'load', 'up', '-d', '--no-build', '--no-deps', 'load');
    await waitFor(async () => (await cluster.query('sum(roomcast_connections)')) === LOAD_CONNECTIONS, {
      timeoutMs: 60_000,
      intervalMs: 500,
      for: `${LOAD_CONNECTIONS} connections of the load driver`,
    });
    await waitFor(async () => ((await cluster.query(DELIVERED)) ?? 0) > LEAST_DELIVERED, {
      timeoutMs: 60_000,
      intervalMs: 500,
      for: `more than ${LEAST_DELIVERED} deliveries a second`,
    });
    const ids = [...(await cluster.containers('load')), ...(await allContainers())];
    console.log(await cluster.docker('stats', '--no-stream', '--format', '{{.Name}}\t{{.MemUsage}}', ...ids));
    await cluster.compose('--profile', 'load', 'stop', 'load');
    const lines = (await cluster.compose('--profile', 'load', 'logs', '--no-color', 'load'))
      .trim()
      .split('\n');
    console.log(lines.slice(-3).join('\n'));
    expect(lines.at(-1)).toContain('0 gaps, 0 resets, 0 misplaced');
  }, 120_000);
});

async function allContainers(): Promise<string[]> {
  return (await Promise.all(cluster.services.map((service) => cluster.containers(service)))).flat();
}
