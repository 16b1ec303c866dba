/** What faults are made of. */
import type { Random } from '../../support/random.ts';
import type { Happening } from './happening.ts';
import type { World } from './world.ts';

export interface Fault extends Happening {
  /** Whether it happened: some cannot while another goes on. */
  happen(world: World, random: Random): boolean;
}

export function fault(weight: number, happen: (world: World, random: Random) => string | null): Fault {
  return {
    weight,
    happen(world, random) {
      const what = happen(world, random);
      if (what !== null) world.trace(`FAULT ${what}`);
      return what !== null;
    },
  };
}

export function ms(random: Random, ...choices: number[]): number {
  return Math.round(random.pick(choices) * (0.5 + random.next()));
}

/** Undone after some time, by the world. */
export function later(world: World, delayMs: number, work: () => void): void {
  world.loop.after(delayMs, work, world.loop.world);
}
