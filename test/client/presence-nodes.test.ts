/** The live list of members against nodes that are processes, on one Redis, one of which is killed. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BaseClient } from '../../src/client/client.ts';
import { RoomcastClient as JsonClient } from '../../src/client/json-node.ts';
import type { PresentMember } from '../../src/client/member-list.ts';
import { RoomcastClient } from '../../src/client/node.ts';
import type { Room } from '../../src/client/room.ts';
import { Cluster } from '../support/cluster.ts';
import { Random } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

let redis: RedisServer;
let cluster: Cluster;
const clients: BaseClient[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
  cluster = await Cluster.start({
    redis: redis.url,
    nodes: 2,
    env: {
      ROOMCAST_PRESENCE_LEASE_MS: '2000',
      ROOMCAST_ROOMS: JSON.stringify([{ match: '*', memberEvents: true }]),
    },
  });
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

afterAll(async () => {
  await cluster.dispose();
  await redis.dispose();
});

function connect(urls: readonly string[], Client = RoomcastClient): BaseClient {
  const client = new Client(urls, { reconnect: { baseMs: 20, capMs: 200 } });
  clients.push(client);
  return client;
}

const sorted = (members: readonly PresentMember[]) =>
  members.toSorted((a, b) => a.connection.localeCompare(b.connection));

describe('the live list of members', () => {
  it('agrees with what each node says after churn and the death of a node', async () => {
    const dice = new Random(411);
    const watchers = [RoomcastClient, JsonClient as unknown as typeof RoomcastClient].map((Client, i) =>
      connect([cluster.urls[i]!, cluster.urls[1 - i]!], Client).room('r', {
        members: true,
        presence: `w${i}`,
      }),
    );
    await Promise.all(watchers.map((room) => new Promise((resolve) => room.on('joined', resolve))));
    const present = new Map<number, { client: BaseClient; room: Room<unknown, unknown, number> }>();
    for (let step = 0; step < 300; step++) {
      const slot = dice.whole(0, 14);
      const one = present.get(slot);
      const chance = dice.next();
      if (one === undefined) {
        const client = connect(slot % 2 ? cluster.urls : cluster.urls.toReversed());
        present.set(slot, { client, room: client.room('r', { presence: step }) });
      } else if (chance < 0.4) void one.room.setPresence(step);
      else if (chance < 0.65) one.client.dropConnection();
      else {
        one.client.close();
        present.delete(slot);
      }
      if (step === 150) await cluster.kill(0);
      if (dice.next() < 0.3) await new Promise((done) => setTimeout(done, dice.whole(1, 20)));
    }
    await waitFor(
      async () => {
        const { members } = await watchers[0]!.listMembers();
        expect(members).toHaveLength(present.size + 2);
        for (const { members: list } of watchers) expect(sorted(list.members)).toEqual(sorted(members));
        return true;
      },
      { timeoutMs: 20_000, for: 'lists that agree' },
    );
    for (const { room } of present.values()) await room.setPresence(null);
    await waitFor(() =>
      watchers.every(({ members }) => members.members.every(({ data }) => typeof data !== 'number')),
    );
    await cluster.run(0);
  });
});
