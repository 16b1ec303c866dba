/** What may happen in a run: something that clients or the server do, or a fault. */
import type { Random } from '../../support/random.ts';
import type { World } from './world.ts';

export interface Happening {
  /** How often it is drawn, compared with the others. */
  readonly weight: number;
  happen(world: World, random: Random): void;
}
