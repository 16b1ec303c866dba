import { describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { Crowd } from '../support/crowd.ts';
import { SECRET, token } from '../support/tokens.ts';
import { useCluster } from '../support/use-cluster.ts';

/** More than any of them misses. */
const LAST = 5_000;
/** More than the kernel holds for one socket. */
const BIG = Buffer.alloc(16 * 1024, 'x');

const used = useCluster({
  env: {
    ROOMCAST_LIMITS_HISTORY_PAGE: String(LAST),
    ROOMCAST_AUTH_SECRET: SECRET,
    ROOMCAST_AUTH_ANONYMOUS: 'true',
    ROOMCAST_ROOMS: JSON.stringify([{ match: 'acked:*', acks: true }]),
  },
});

describe('members that joined with the newest messages', { timeout: 60_000 }, () => {
  it('go on with all of them when their node is killed, by position and where their user left off', async () => {
    const tokens = await Promise.all(Array.from({ length: 30 }, (_, n) => token({ sub: `user${n}` })));
    const crowd = await Crowd.gather({
      room: 'acked:killed',
      urls: used.cluster.urls,
      members: [20, 5, 5],
      publishers: [1],
      member: (n) => (n % 2 === 0 ? { last: LAST } : { last: LAST, resumesWith: tokens[n]! }),
    });
    crowd.publish(150);
    await crowd.heard(300);
    await used.cluster.kill(0);
    await crowd.heard(450);
    const verdict = await crowd.conclude('newest, killed node');
    await crowd.disperse();
    await used.cluster.run(0);
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ members: 30, gaps: 0, resets: 0 });
  });

  it('are told of the reset when Redis is flushed, and have all since', async () => {
    const crowd = await Crowd.gather({
      room: 'plain:flushed',
      urls: used.cluster.urls,
      members: [5, 5, 5],
      publishers: [0, 1],
      member: (n) => (n % 2 === 0 ? { last: LAST } : {}),
    });
    crowd.publish(150);
    await crowd.heard(200);
    await used.redis.client.flushall();
    const flushedAtMs = performance.now();
    await crowd.heard(100);
    // They come back with a position of the new epoch, or of the one that is over.
    for (const member of crowd.members) member.drop();
    await crowd.heard(300);
    const verdict = await crowd.conclude('newest, flushed');
    await crowd.disperse();
    expectFlawless(verdict);
    for (const { sentAtMs } of verdict.forgotten) expect(sentAtMs).toBeLessThan(flushedAtMs);
  });

  it('get the rest of the replay when one of them reads slowly and is cut off in the middle of it', async () => {
    const urls = used.cluster.urls;
    const crowd = await Crowd.gather({ room: 'plain:slow', urls, members: [1], publishers: [1] });
    crowd.publish(400, BIG);
    await crowd.heard(600);
    const late = await Crowd.gather({
      room: 'plain:slow',
      urls,
      members: [2],
      publishers: [],
      member: () => ({ last: LAST }),
    });
    const [slow, cut] = late.members;
    slow!.socket.pause();
    cut!.drop();
    await crowd.heard(200);
    slow!.socket.resume();
    crowd.members.push(...late.members);
    const verdict = await crowd.conclude('newest, slow reader');
    await crowd.disperse();
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ members: 3, gaps: 0, resets: 0 });
    for (const log of crowd.logs.slice(1)) expect(log.offsets.length).toBeGreaterThan(700);
  });
});
