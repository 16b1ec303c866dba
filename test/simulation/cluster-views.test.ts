/** How servers of the model of a Redis Cluster agree on who has a slot, where some hear of a move late. */
import { expect, test } from 'vitest';
import { ClusterModel } from './redis/cluster/cluster-model.ts';
import type { ClusterServer } from './redis/cluster/cluster-server.ts';

const [FROM_FIRST, FROM_SECOND] = [0, 6_000];

/** As `redis-cli --cluster reshard` does it, without keys. The other servers are told by these two alone. */
function move(slot: number, source: ClusterServer, target: ClusterServer): void {
  const setSlot = (server: ClusterServer, ...words: string[]) =>
    server.run('cluster', ['SETSLOT', String(slot), ...words]);
  setSlot(target, 'IMPORTING', source.id);
  setSlot(source, 'MIGRATING', target.id);
  for (const server of [target, source]) setSlot(server, 'NODE', target.id);
}

test('a server that was away during a move does not give the slot back to who gave it away, and has a newer epoch', () => {
  const away = new Set<ClusterServer>();
  const model = new ClusterModel({
    masters: 3,
    replicas: 0,
    place: (number) => ({ host: `10.0.0.${number + 1}`, port: 6379 }),
    nowMicros: () => 0,
    send: (from, to, arrived) => {
      if (!away.has(from) && !away.has(to)) arrived();
    },
  });
  const [first, second, third] = model.servers as [ClusterServer, ClusterServer, ClusterServer];
  away.add(third);
  move(FROM_FIRST, first, second);
  move(FROM_SECOND, second, first);
  expect(first.view.me.epoch).toBeGreaterThan(second.view.me.epoch);
  away.clear();
  expect(third.view.owners[FROM_FIRST]).toBe(first.number);
  first.tell();
  second.tell();
  for (const { view } of model.servers) {
    expect(view.owners[FROM_FIRST]).toBe(second.number);
    expect(view.owners[FROM_SECOND]).toBe(first.number);
  }
});
