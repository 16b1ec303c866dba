/** A Redis that is killed, and starts again from what was on its disk some seconds before. */
import type { Random } from '../../support/random.ts';
import type { World } from './world.ts';

const AGES_MS = [100, 2_000, 10_000];
const OUTAGES_MS = [50, 1_000, 4_000];

/** How long it takes until all of it is over. */
export interface OldDisk {
  readonly ageMs: number;
  readonly downMs: number;
}

export function drawOldDisk(random: Random): OldDisk {
  const drawn = (choices: readonly number[]) => Math.round(random.pick([...choices]) * (0.5 + random.next()));
  return { ageMs: drawn(AGES_MS), downMs: drawn(OUTAGES_MS) };
}

export function startFromOldDisk(world: World, { ageMs, downMs }: OldDisk): void {
  const { loop } = world;
  const disk = world.redis.keys.copy();
  const kill = () => {
    world.trace('FAULT Redis is killed');
    world.hasForgotten = true;
    world.isRedisDown = true;
    world.redis.restart(disk);
  };
  const start = () => {
    world.isRedisDown = false;
  };
  loop.after(ageMs, kill, loop.world);
  loop.after(ageMs + downMs, start, loop.world);
}
