/** A thousand clients, with the timing that applications have, whose node dies: how they come back. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RoomcastClient } from '../../src/client/node.ts';
import { Cluster } from '../support/cluster.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const CLIENTS = 1_000;
const ROOM = 'chaos:return';

let redis: RedisServer;
let cluster: Cluster;
const clients: Returning[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
  cluster = await Cluster.start({ redis: redis.url, nodes: 2 });
});

afterAll(async () => {
  for (const { client } of clients) client.close();
  await cluster.dispose();
  await redis.dispose();
});

class Returning {
  readonly client: RoomcastClient;
  readonly heard: number[] = [];
  /** When each connection could be used and had its room, on the clock of `performance.now`. */
  readonly joinedAtMs: number[] = [];
  readonly lost: number[] = [];

  constructor(urls: readonly string[]) {
    this.client = new RoomcastClient(urls);
    const room = this.client.room<number>(ROOM);
    room.on('message', ({ data }) => this.heard.push(data));
    room.on('joined', ({ gap, reset }) => {
      this.joinedAtMs.push(performance.now());
      if (gap > 0 || reset) this.lost.push(gap);
    });
  }
}

/** The most of these moments that lie within one such stretch of time. */
function peak(sortedMs: readonly number[], withinMs: number): number {
  let most = 0;
  let from = 0;
  sortedMs.forEach((atMs, i) => {
    while (sortedMs[from]! <= atMs - withinMs) from++;
    most = Math.max(most, i - from + 1);
  });
  return most;
}

describe(`${CLIENTS} clients whose node is killed`, () => {
  it('all come back to the other one, each with what was said meanwhile', { timeout: 90_000 }, async () => {
    for (let i = 0; i < CLIENTS; i++) clients.push(new Returning(cluster.urls));
    const haveJoined = (times: number) => () => clients.every(({ joinedAtMs }) => joinedAtMs.length >= times);
    await waitFor(haveJoined(1), { timeoutMs: 30_000, for: 'all to join' });
    const speaker = new RoomcastClient(cluster.urls[1]!);
    await speaker.publish(ROOM, 1);
    await cluster.kill(0);
    const killedAtMs = performance.now();
    await speaker.publish(ROOM, 2);
    await waitFor(haveJoined(2), { timeoutMs: 30_000, for: 'all to come back' });
    await speaker.publish(ROOM, 3);
    await waitFor(() => clients.every(({ heard }) => heard.length >= 3), {
      timeoutMs: 30_000,
      for: 'the last message',
    });
    for (const { heard } of clients) expect(heard).toEqual([1, 2, 3]);
    for (const { joinedAtMs, lost } of clients) expect([joinedAtMs.length, lost]).toEqual([2, []]);
    const afterMs = clients.map(({ joinedAtMs }) => joinedAtMs[1]! - killedAtMs).sort((a, b) => a - b);
    const at = (share: number) => `${Math.round(afterMs[Math.floor((CLIENTS - 1) * share)]!)} ms`;
    const spread = `first ${at(0)}, half ${at(0.5)}, 95% ${at(0.95)}, last ${at(1)}`;
    const rates = `at most ${peak(afterMs, 100)} in 100 ms and ${peak(afterMs, 1_000)} in 1 s`;
    console.log(`[chaos] ${CLIENTS} clients back after their node died: ${spread}; ${rates}`);
    speaker.close();
  });
});
