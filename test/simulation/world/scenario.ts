/** A few steps in a world of two nodes, for tests that do not draw anything. */
import type { SimulatedClient } from './simulated-client.ts';
import { World, type WorldOptions } from './world.ts';

/** In a task of its own: in a promise no other promise would run. */
export function inWorld(work: (world: World) => void, options: Partial<WorldOptions> = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      const world = new World({ seed: 1, nodes: 2, clients: 3, ...options });
      try {
        world.loop.run(3_000);
        work(world);
        resolve();
      } catch (error) {
        reject(error);
      } finally {
        world.dispose();
      }
    });
  });
}

export function pass(world: World, milliseconds: number): void {
  world.loop.run(world.loop.nowMs + milliseconds);
}

export function act(world: World, client: SimulatedClient, work: () => void): void {
  world.loop.as(client.owner, work);
}
