/** Scenarios as rows of a table: what is done, turn by turn, and all that each client is told. */
import { expect, it } from 'vitest';
import type { ScriptedStore, StorePort } from '../support/scripted-store.ts';
import { type Client, World, type WorldNode, type WorldOptions } from '../support/world.ts';

/** Two nodes and who is connected to them. Nobody has joined anything. */
export interface Cast {
  readonly world: World;
  readonly store: ScriptedStore;
  readonly node: WorldNode;
  /** The first node's way to the store. */
  readonly port: StorePort;
  /** On the first node. */
  readonly ann: Client;
  readonly bob: Client;
  /** On the first node; it reads JSON. */
  readonly jo: Client;
  /** On the second node. */
  readonly cyd: Client;
  /** On the second node; it only publishes. */
  readonly pub: Client;
}

/** Done in one turn, unless it waits; then everything runs until nothing is left to do. */
export type Step = (cast: Cast) => unknown;

export interface Scenario {
  readonly world?: WorldOptions;
  readonly steps: readonly Step[];
  /** What each of them was told in all; see `Client.told`. */
  readonly told: Partial<Record<'ann' | 'bob' | 'jo' | 'cyd' | 'pub', string>>;
  /** Looked at after the last step. */
  readonly also?: (cast: Cast) => void;
}

export async function cast(options: WorldOptions = {}): Promise<Cast> {
  const world = new World(options);
  const node = await world.node();
  const other = await world.node();
  return {
    world,
    store: world.store,
    node,
    port: node.port,
    ann: node.client('ann'),
    bob: node.client('bob'),
    jo: node.client('jo', 'json'),
    cyd: other.client('cyd'),
    pub: other.client('pub'),
  };
}

/**
 * One test for each scenario: the told sequences, for everyone the promises of the protocol, and for the nodes that nothing was
 * fanned out while something that a peer sent was being handled.
 */
export function play(scenarios: Readonly<Record<string, Scenario>>): void {
  for (const [name, scenario] of Object.entries(scenarios)) {
    it(name, async () => {
      const on = await cast(scenario.world);
      await on.world.settle();
      for (const step of scenario.steps) {
        await step(on);
        await on.world.settle();
      }
      const told = Object.keys(scenario.told).map((who) => [who, on[who as 'ann'].told()]);
      expect(Object.fromEntries(told)).toEqual(scenario.told);
      const broken = on.world.clients.map((client) => [client.user, client.brokenPromises()] as const);
      expect(broken.filter(([, promises]) => promises.length > 0)).toEqual([]);
      expect(on.world.nodes.map(({ sockets }) => sockets.publishedInHandler)).toEqual([0, 0]);
      scenario.also?.(on);
    });
  }
}
