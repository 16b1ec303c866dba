/** Which differences between nodes a run objects to, in what they give to who joins a room without history. */
import { expect, test } from 'vitest';
import { checkNewest } from './world/newest-checks.ts';
import { act, inWorld, pass } from './world/scenario.ts';
import { NAMES, type World } from './world/world.ts';

const ROOM = 'live:a';

/** The first node has three messages. The second one finds what is left of them in Redis: those of the keys that are not `lost`. */
function violations(world: World, lost: readonly number[], forgot: boolean): number {
  const ann = world.addClient(0);
  act(world, ann, () => ann.join(ROOM));
  pass(world, 2_000);
  for (const payload of [1, 2, 3]) {
    act(world, ann, () => ann.publish(ROOM, payload, 0, { conflateKey: `k${payload}` }));
    pass(world, 1_000);
  }
  const { fields } = world.redis.keys.hash(NAMES.newest(ROOM), world.loop.wallMsOf(world.redisOwner))!;
  const ids = [...fields.keys()].filter((id) => id !== '#');
  for (const payload of lost) fields.delete(ids[payload - 1]!);
  world.hasForgotten = forgot;
  checkNewest(world);
  return world.violations.length;
}

test.each<readonly [what: string, lost: readonly number[], forgot: boolean, found: number]>([
  ['has the same', [], false, 0],
  ['has one less', [2], false, 1],
  ['lacks the newest', [3], false, 1],
  ['has no more than the newer ones', [1], false, 0],
  ['has nothing', [1, 2, 3], false, 1],
  ['has one less, since Redis lost it', [2], true, 0],
])('a node that %s', async (_, lost, forgot, found) => {
  await inWorld((world) => expect(violations(world, lost, forgot)).toBe(found));
});
