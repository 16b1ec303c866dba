import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { check, expectFlawless, figures } from '../support/checker.ts';
import { Cluster } from '../support/cluster.ts';
import { untilTheDeadAreGone } from '../support/departures.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { pythonEnvironment } from '../support/python-environment.ts';
import { acknowledged, type Outcome, PythonWorkload } from '../support/python-workload.ts';
import { chaosSeed, Random } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { delay } from '../support/wait.ts';

const environment = await pythonEnvironment();
if ('missing' in environment) console.warn(`skipped: the Python package needs ${environment.missing}`);

const NODES = 2;
const ROOM = 'chaos:python';
const seed = chaosSeed();

describe.skipIf('missing' in environment)(`Python clients (CHAOS_SEED=${seed})`, { timeout: 180_000 }, () => {
  const random = new Random(seed);
  let redis: RedisServer;
  let cluster: Cluster;
  let proxies: DeafeningProxy[];
  let workload: PythonWorkload;

  beforeAll(async () => {
    redis = await RedisServer.start({ appendonly: 'yes', appendfsync: 'always' });
    cluster = await Cluster.start({ redis: redis.url, nodes: NODES });
    const ports = cluster.urls.map((url) => Number(new URL(url).port));
    proxies = await Promise.all(ports.map((port) => DeafeningProxy.start(port)));
    workload = await PythonWorkload.start(environment, {
      urls: proxies.map(({ port }) => `ws://127.0.0.1:${port}/ws`),
      room: ROOM,
      readers: 6,
      publishers: 3,
      perSecond: 200,
      seed,
    });
  });

  afterAll(async () => {
    workload?.end();
    for (const proxy of proxies ?? []) proxy.dispose();
    await cluster?.dispose();
    await redis?.dispose();
  });

  /** Ends all connections through one of the proxies, at any point of whatever they carry. */
  function cut(): void {
    const i = random.whole(0, NODES - 1);
    proxies[i]!.lead(Number(new URL(cluster.urls[i]!).port));
  }

  it('lose and double nothing under cuts, killed nodes and a killed Redis, and every publish settles', async () => {
    const beganAtMs = performance.now();
    await workload.settled(200);
    for (let cuts = 0; cuts < 40; cuts++) {
      cut();
      await delay(random.whole(0, 150));
    }
    for (let kills = 0; kills < 3; kills++) {
      const i = random.whole(0, NODES - 1);
      await cluster.kill(i);
      await delay(random.whole(0, 300));
      await cluster.run(i);
      await workload.settled(100);
    }
    await untilTheDeadAreGone(redis, NODES);
    await redis.kill();
    await delay(random.whole(0, 700));
    await redis.restart();
    await workload.settled(300);
    const { outcomes, connections, logs, complaints } = await workload.conclude();

    const stored = acknowledged(ROOM, outcomes);
    const verdict = check(stored, logs);
    console.log(figures('python', verdict, performance.now() - beganAtMs, `connections ${connections}`));
    expectFlawless(verdict);
    expect(cluster.reasonsOfResets).toEqual([]);
    expect(verdict).toMatchObject({ members: 6, gaps: 0, resets: 0 });
    // Stored, or an error: none is missing. Here the dedup window never passes, so none may be unknown either.
    expect(countByKind(outcomes)).toEqual({ stored: outcomes.length });
    for (const publisher of [0, 1, 2])
      expect(numbersOf(outcomes, publisher)).toEqual(upTo(outcomes, publisher));
    // One at a time is in order, whatever happened.
    const inOrder = stored.filter(({ payload }) => payload < 10_000_000).map(({ offset }) => offset);
    expect(inOrder).toEqual(inOrder.toSorted((a, b) => a - b));
    expect(new Set(stored.map(({ offset }) => offset)).size).toBe(stored.length);
    // The harm was done: each of the nine came back, on average more than once.
    expect(connections).toBeGreaterThan(9 * 2);
    expect(complaints.filter((line) => /Traceback|never retrieved|ResourceWarning/.test(line))).toEqual([]);
  });
});

function countByKind(outcomes: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of outcomes) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

function numbersOf(outcomes: readonly Outcome[], publisher: number): number[] {
  const own = outcomes.filter((outcome) => outcome.publisher === publisher);
  return own.map(({ payload }) => payload - publisher * 10_000_000).sort((a, b) => a - b);
}

/** What `numbersOf` is where no publish went without an outcome. */
function upTo(outcomes: readonly Outcome[], publisher: number): number[] {
  return Array.from({ length: Math.max(...numbersOf(outcomes, publisher)) }, (_, i) => i + 1);
}
