/** Redis starts again: with everything, or from a disk that lacks the newest writes. Whoever was told of a message must not take another for it. */
import { expect, test } from 'vitest';
import type { Keyspace } from './redis/keyspace.ts';
import { checkCalm, checkMessages } from './world/checks.ts';
import { act, inWorld, pass } from './world/scenario.ts';
import type { SimulatedClient } from './world/simulated-client.ts';
import type { World } from './world/world.ts';

const ROOM = 'chat:a';

/**
 * Ann is on the first node, Bob on the second. In a room that nobody joins, no node has more to go by than what publishers were told.
 */
function twoOf(world: World, areIn = true): { ann: SimulatedClient; bob: SimulatedClient } {
  const [ann, bob] = [world.addClient(0), world.addClient(1)];
  if (areIn) for (const client of [ann, bob]) act(world, client, () => client.join(ROOM));
  pass(world, 2_000);
  return { ann, bob };
}

let payload = 0;

function publish(world: World, client: SimulatedClient): void {
  act(world, client, () => client.publish(ROOM, ++payload, 20, {}));
}

/** The disk before a message of this client, which is acknowledged and which a Redis that starts from the disk lacks. */
function diskBefore(world: World, client: SimulatedClient): Keyspace {
  const disk = world.redis.keys.copy();
  publish(world, client);
  pass(world, 100);
  world.hasForgotten = true;
  return disk;
}

function checkAll(world: World): void {
  checkCalm(world);
  checkMessages(world);
  expect(world.violations).toEqual([]);
}

/** Ann's newest message has number 2, and another numbering than Bob's. */
function expectAnotherNumbering(world: World, ann: SimulatedClient, bob: SimulatedClient): void {
  expect(ann.acknowledged.at(-1)?.offset).toBe(2);
  expect(ann.acknowledged.at(-1)?.epoch).not.toBe(bob.acknowledged.at(-1)?.epoch);
  expect(world.violations).toEqual([]);
}

function epochs(client: SimulatedClient): (string | undefined)[] {
  return client.acknowledged.map(({ epoch }) => epoch);
}

test('after a restart with everything, rooms go on in their numbering', () =>
  inWorld((world) => {
    const { ann, bob } = twoOf(world);
    publish(world, ann);
    publish(world, bob);
    pass(world, 100);
    world.redis.restart(world.redis.keys.copy());
    pass(world, 10_000);
    publish(world, ann);
    pass(world, 5_000);
    checkAll(world);
    expect(ann.acknowledged.map(({ offset }) => offset).at(-1)).toBe(3);
    expect(new Set([...epochs(ann), ...epochs(bob)]).size).toBe(1);
  }));

test('after a restart without a message that was acknowledged, its number is not given again', () =>
  inWorld((world) => {
    const { ann, bob } = twoOf(world, false);
    publish(world, ann);
    pass(world, 2_000);
    const disk = diskBefore(world, bob);
    world.redis.restart(disk);
    pass(world, 10_000);
    publish(world, ann);
    pass(world, 5_000);
    expect(bob.acknowledged.at(-1)).toMatchObject({ epoch: ann.acknowledged[0]?.epoch, offset: 2 });
    expectAnotherNumbering(world, ann, bob);
  }));

test('a message that was given and not acknowledged is not forgotten either', () =>
  inWorld((world) => {
    const { ann, bob } = twoOf(world);
    publish(world, ann);
    pass(world, 2_000);
    const disk = world.redis.keys.copy();
    const sender = world.nodes[1]?.owner;
    publish(world, bob);
    // Ann has it, and Bob's node dies with the answer.
    world.loop.run(world.loop.nowMs + 1_000, () => ann.messages === 2);
    expect(ann.messages).toBe(2);
    if (sender) world.killNode(1, false);
    world.hasForgotten = true;
    world.redis.restart(disk);
    pass(world, 10_000);
    world.startNode(1);
    pass(world, 20_000);
    publish(world, bob);
    pass(world, 5_000);
    checkAll(world);
  }));

test('what only a node knew that died with Redis counts as lost', () =>
  inWorld((world) => {
    const { ann, bob } = twoOf(world, false);
    publish(world, bob);
    pass(world, 2_000);
    const disk = diskBefore(world, bob);
    world.killNode(1, false);
    world.redis.restart(disk);
    pass(world, 10_000);
    publish(world, ann);
    pass(world, 5_000);
    world.startNode(1);
    pass(world, 30_000);
    checkAll(world);
    expect(ann.acknowledged.at(-1)?.epoch).not.toBe(bob.acknowledged.at(-1)?.epoch);
  }));

test('when all nodes died with Redis, rooms get new epochs and keep what is stored', () =>
  inWorld((world) => {
    const { ann, bob } = twoOf(world);
    publish(world, ann);
    pass(world, 2_000);
    const disk = diskBefore(world, bob);
    for (const place of [0, 1]) world.killNode(place, false);
    world.redis.restart(disk);
    for (const place of [0, 1]) world.startNode(place);
    pass(world, 30_000);
    publish(world, ann);
    pass(world, 5_000);
    checkAll(world);
    expect(ann.acknowledged.at(-1)).toMatchObject({ offset: 2 });
    expect(ann.acknowledged.at(-1)?.epoch).not.toBe(bob.acknowledged.at(-1)?.epoch);
  }));

test('a node that left in good order before Redis was killed costs nothing', () =>
  inWorld((world) => {
    const { ann, bob } = twoOf(world);
    publish(world, bob);
    world.drainNode(1);
    pass(world, 20_000);
    publish(world, ann);
    pass(world, 100);
    world.redis.restart(world.redis.keys.copy());
    pass(world, 10_000);
    publish(world, ann);
    world.startNode(1);
    pass(world, 30_000);
    checkAll(world);
    expect(new Set([...epochs(ann), ...epochs(bob)]).size).toBe(1);
  }));

test('a node that comes late with proof of a loss has a numbering begin that others took for whole', () =>
  inWorld((world) => {
    const { ann, bob } = twoOf(world, false);
    publish(world, bob);
    pass(world, 2_000);
    const disk = world.redis.keys.copy();
    publish(world, bob);
    pass(world, 100);
    // The first node has never heard of the second one.
    const key = [...world.redis.keys.names()].find((name) => name.endsWith(':leases'))!;
    const second = world.nodes[1]!;
    const now = world.loop.wallMsOf(world.redisOwner);
    world.redis.keys.hash(key, now)!.fields.delete(second.core.node.nodeId);
    world.cutOff.set(1, 'refused');
    for (const link of world.redisLinksOf(second)) link.cut(false);
    pass(world, 8_000);
    world.hasForgotten = true;
    world.redis.restart(disk);
    pass(world, 5_000);
    publish(world, ann);
    pass(world, 1_000);
    world.cutOff.clear();
    pass(world, 20_000);
    publish(world, ann);
    pass(world, 5_000);
    const [, lost] = bob.acknowledged;
    const [early, late] = ann.acknowledged;
    expect(lost).toMatchObject({ offset: 2 });
    expect(early).toBeDefined();
    expect(late?.epoch).not.toBe(lost?.epoch);
  }));

test('nor is it when the records of lineages had been flushed before', () =>
  inWorld((world) => {
    const { ann, bob } = twoOf(world, false);
    world.redis.flushAll();
    publish(world, ann);
    pass(world, 200);
    const disk = diskBefore(world, bob);
    world.redis.restart(disk);
    // At once after it no lineage can be stored, so nothing may be numbered.
    world.redis.refusal = 'MISCONF no disk';
    pass(world, 1_000);
    world.redis.refusal = null;
    pass(world, 10_000);
    publish(world, ann);
    pass(world, 5_000);
    expect(bob.acknowledged.at(-1)).toMatchObject({ offset: 2 });
    expectAnotherNumbering(world, ann, bob);
  }));
