import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MembersResult } from '../../src/protocol/frames.ts';
import { expectFlawless } from '../support/checker.ts';
import { Cluster } from '../support/cluster.ts';
import { Crowd, HANGS_MS } from '../support/crowd.ts';
import { untilAllHaveCompared, untilTheDeadAreGone } from '../support/departures.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { chaosSeed, Random } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { delay, waitFor } from '../support/wait.ts';

const SECONDS = Number(process.env.CHAOS_SECONDS ?? 20);
const NODES = 3;
const ROOMS = ['chaos:a', 'chaos:b', 'chaos:c'];

const seed = chaosSeed();
let redis: RedisServer;
let proxies: DeafeningProxy[];
let cluster: Cluster;

beforeAll(async () => {
  redis = await RedisServer.start({ appendonly: 'yes', appendfsync: 'always' });
  proxies = await Promise.all(Array.from({ length: NODES }, () => DeafeningProxy.start(redis.port)));
  cluster = await Cluster.start({
    redis: proxies.map(({ port }) => `redis://127.0.0.1:${port}`),
    env: { ROOMCAST_DRAIN_WINDOW_MS: '500' },
  });
});

afterAll(async () => {
  await cluster.dispose();
  for (const proxy of proxies) proxy.dispose();
  await redis.dispose();
});

interface Run {
  readonly random: Random;
  readonly crowds: readonly Crowd[];
  flushedAtMs: number;
}

/** Everything that can happen, by name, with how often it is to, relative to the others. */
const HAPPENINGS: Readonly<Record<string, [weight: number, happen: (run: Run) => Promise<unknown>]>> = {
  'a node is killed': [
    3,
    async ({ random }) => {
      const i = random.whole(0, NODES - 1);
      await cluster.kill(i);
      await delay(random.whole(0, 1_500));
      await cluster.run(i);
    },
  ],
  'a node is restarted': [
    3,
    async ({ random }) => {
      const i = random.whole(0, NODES - 1);
      await cluster.stop(i);
      await cluster.run(i);
    },
  ],
  'Redis freezes': [
    2,
    async ({ random }) => {
      redis.freeze();
      await delay(random.whole(100, 4_000));
      redis.thaw();
    },
  ],
  'Redis is killed': [
    1,
    async ({ random }) => {
      await untilTheDeadAreGone(redis, NODES);
      await redis.kill();
      await delay(random.whole(0, 1_500));
      await redis.restart();
      await untilAllHaveCompared(redis, NODES);
    },
  ],
  'subscribe links are cut': [3, () => redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub')],
  'all links are cut': [2, () => redis.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')],
  'a node is cut off from Redis': [
    3,
    async ({ random }) => {
      const proxy = random.pick(proxies);
      proxy.cut();
      await delay(random.whole(100, 4_000));
      proxy.heal();
    },
  ],
  'a node is deaf': [2, async ({ random }) => random.pick(proxies).deafen('subscribe')],
  'Redis is flushed': [
    1,
    async (run) => {
      await redis.client.flushall();
      run.flushedAtMs = performance.now();
    },
  ],
  'clients drop': [
    5,
    async ({ random, crowds }) => {
      for (const { members, publishers } of crowds) {
        for (const client of [...members, ...publishers]) if (random.next() < 0.3) client.drop();
      }
    },
  ],
  'members leave and join': [
    5,
    async ({ random, crowds }) => {
      for (const { members, room } of crowds) {
        const chosen = members.filter(() => random.next() < 0.2);
        for (const member of chosen) member.leave(room);
        await delay(random.whole(0, 300));
        for (const member of chosen) void member.join(room);
      }
    },
  ],
  'a member stops reading for a while': [
    2,
    async ({ random, crowds }) => {
      const member = random.pick(random.pick(crowds).members);
      if (!member.isConnected) return;
      const { socket } = member;
      socket.pause();
      await delay(random.whole(100, 3_000));
      socket.resume();
    },
  ],
};

function choose(random: Random): string {
  const names = Object.entries(HAPPENINGS).flatMap(([name, [weight]]) =>
    new Array<string>(weight).fill(name),
  );
  return random.pick(names);
}

/** All nodes list the same members: those that are there. Within what a dead node's lease and its sweep take. */
async function expectAgreement({ room, members }: Crowd): Promise<void> {
  const expected = members
    .filter((member) => member.isIn(room))
    .map(({ connection }) => connection)
    .sort();
  expect(expected.length).toBeGreaterThan(0);
  for (const url of cluster.urls) {
    const address = `${url.replace(/^ws/, 'http').replace(/\/ws$/, '')}/v1/rooms/${encodeURIComponent(room)}/members`;
    let listed: string[] = [];
    const agrees = async () => {
      const answer = (await (await fetch(address)).json()) as MembersResult;
      listed = answer.members.map(({ connection }) => connection).sort();
      return answer.count === expected.length && listed.join() === expected.join();
    };
    await waitFor(agrees, { timeoutMs: 30_000, intervalMs: 250 }).catch(() =>
      expect(listed).toEqual(expected),
    );
  }
}

describe(`${SECONDS} s of anything that can happen to three nodes`, () => {
  it(
    'leave every member with every acknowledged message of its time once, in order, or with the word that it is gone',
    async () => {
      console.log(`[chaos] anything: CHAOS_SEED=${seed} CHAOS_SECONDS=${SECONDS}`);
      const random = new Random(seed);
      const crowds = await Promise.all(
        ROOMS.map((room) =>
          Crowd.gather({
            room,
            urls: cluster.urls,
            members: [10, 10, 10],
            publishers: [0, 1, 2],
            random: random.next,
          }),
        ),
      );
      for (const crowd of crowds) crowd.publish(100);
      const run: Run = { random, crowds, flushedAtMs: 0 };
      const story: string[] = [];
      const untilMs = performance.now() + SECONDS * 1000;
      while (performance.now() < untilMs) {
        const name = choose(random);
        story.push(name);
        await HAPPENINGS[name]![1](run);
        // Mostly one thing at a time is enough to deal with; now and then the next one comes at once.
        if (random.next() < 0.8) await delay(random.whole(100, 1_500));
      }
      for (const crowd of crowds) {
        const verdict = await crowd.conclude(`anything in ${crowd.room}`, () => crowd.answers());
        try {
          expectFlawless(verdict);
        } catch (error) {
          throw new Error(`CHAOS_SEED=${seed}: ${(error as Error).message}\n${story.join(', ')}`);
        }
        for (const { sentAtMs } of verdict.forgotten) expect(sentAtMs).toBeLessThan(run.flushedAtMs);
        if (run.flushedAtMs === 0) expect(verdict.resets, cluster.reasonsOfResets.join('; ')).toBe(0);
        expect(verdict.gaps).toBe(0);
        expect(crowd.slowestAnswerMs()).toBeLessThan(HANGS_MS);
        expect(verdict.messages).toBeGreaterThan(SECONDS * 20);
        await expectAgreement(crowd);
      }
      const counts = Object.keys(HAPPENINGS).map(
        (name) => `${name} ${story.filter((one) => one === name).length}`,
      );
      console.log(`[chaos] anything: ${story.length} happenings: ${counts.join(', ')}`);
      await Promise.all(crowds.map((crowd) => crowd.disperse()));
    },
    SECONDS * 1000 + 120_000,
  );
});
