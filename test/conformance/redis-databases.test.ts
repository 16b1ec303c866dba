/** Clusters that share a Redis and a prefix, each in a database of its own: Redis does not divide channels by database. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RedisBackplane } from '../../src/backplane/redis/redis-backplane.ts';
import { randomId } from '../../src/util/ids.ts';
import { startRedis } from '../support/backplanes.ts';
import { KEPT, publishTiny, textsOf, UNKEPT } from '../support/frames.ts';
import { entryOf, type PresentNode, startPresence } from '../support/presence.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

let server: RedisServer;
const open: RedisBackplane[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.dispose());

afterEach(async () => {
  for (const backplane of open.splice(0)) await backplane.close();
});

async function start(database: number, keyPrefix: string): Promise<PresentNode<RedisBackplane>> {
  const running = await startRedis(`${server.url}/${database}`, { keyPrefix });
  open.push(running.backplane);
  return startPresence(running);
}

describe.each([
  [0, 1],
  [1, 2],
  [1, 12],
])('nodes in the databases %i and %i with one prefix', (first, second) => {
  it('hear nothing of each other: messages, member events, signals', async () => {
    const prefix = randomId(6);
    const nodes = [await start(first, prefix), await start(second, prefix)];
    for (const { backplane } of nodes) {
      await Promise.all(['kept', 'unkept'].map((room) => backplane.subscribe(room)));
    }
    for (const [i, node] of nodes.entries()) {
      const text = `of ${i}`;
      node.backplane.presence.enter('kept', entryOf(node, 1), true);
      await publishTiny(node.backplane, 'kept', text, { history: KEPT, key: 'same key' });
      await publishTiny(node.backplane, 'unkept', text, { history: UNKEPT });
      await node.backplane.signal(text);
    }
    for (const [i, { heard, presence, backplane, nodeId }] of nodes.entries()) {
      // What comes last on the one link of each node: all before it has arrived.
      await backplane.signal('end');
      await waitFor(() => heard.signals.includes('end'), { for: 'the last signal' });
      expect(heard.signals).toEqual([`of ${i}`, 'end']);
      expect(textsOf(await heard.untilMessages('kept', 1))).toEqual([`of ${i}`]);
      expect(textsOf(await heard.untilMessages('unkept', 1))).toEqual([`of ${i}`]);
      expect(await presence.untilChanges('kept', 1)).toEqual([`+${nodeId}-1 1`]);
      const page = await backplane.read('kept', KEPT, { limit: 10 });
      expect([page.offset, textsOf(page.envelopes)]).toEqual([1, [`of ${i}`]]);
      expect(await backplane.presence.nodes()).toEqual([nodeId]);
      expect((await backplane.presence.list('kept', 10)).count).toBe(1);
    }
  });
});

describe('nodes in one database other than 0', () => {
  it('are one cluster', async () => {
    const [a, b] = [await start(3, 'three'), await start(3, 'three')];
    await Promise.all([a.backplane.subscribe('room'), b.backplane.subscribe('room')]);
    a.backplane.presence.enter('room', entryOf(a, 1), true);
    await publishTiny(a.backplane, 'room', 'x');
    await a.backplane.signal('to all');
    expect(textsOf(await b.heard.untilMessages('room', 1))).toEqual(['x']);
    expect(await b.presence.untilChanges('room', 1)).toEqual([`+${a.nodeId}-1 1`]);
    await waitFor(() => b.heard.signals.length > 0);
    expect(b.heard.signals).toEqual(['to all']);
    expect(await server.client.keys('three:*')).toEqual([]);
  });
});
