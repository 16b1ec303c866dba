/** What clients do. */
import type { Random } from '../../support/random.ts';
import type { Happening } from './happening.ts';
import { keepOut } from './keep-out.ts';
import { restartServerPayloads, SERVER_ACTIONS } from './server-actions.ts';
import type { JoinWish, SimulatedClient } from './simulated-client.ts';
import { ROOMS, type World } from './world.ts';

/** No two publishes of a world have the same. */
let nextPayload = 0;

export function restartPayloads(): void {
  nextPayload = 0;
  restartServerPayloads();
}

/** Returns what it says. */
export function publishTo(world: World, client: SimulatedClient, room: string, random: Random): number {
  const payload = ++nextPayload;
  const bytes = random.next() < 0.8 ? 0 : random.pick([100, 3_000, 20_000]);
  const settings = {
    ...(random.next() < 0.2 && { conflateKey: random.pick(['k1', 'k2', 'k3']) }),
    ...(random.next() < 0.1 && { echo: false }),
  };
  world.count('publishes');
  world.loop.as(client.owner, () => client.publish(room, payload, bytes, settings));
  return payload;
}

function byClient(
  weight: number,
  act: (world: World, client: SimulatedClient, random: Random) => void,
): Happening {
  return {
    weight,
    happen(world, random) {
      const client = random.pick(world.clients);
      // Who sleeps does nothing, and who was told to stop neither.
      if (client.owner.held === null && !client.isOver) act(world, client, random);
    },
  };
}

/** Where to begin: mostly with what comes next. Rooms without history know no positions. */
function beginning(random: Random, room: string): JoinWish {
  const chance = random.next();
  if (chance < 0.3) return { last: random.whole(0, 30) };
  if (room.startsWith('live:') || chance > 0.5) return {};
  const ways = ['where it left', 'where it left', 'at the start', 'after what was acknowledged'] as const;
  return { begin: random.pick(ways) };
}

export const ACTIONS: Readonly<Record<string, Happening>> = {
  publish: byClient(60, (world, client, random) => {
    publishTo(world, client, random.pick(ROOMS), random);
  }),
  burst: byClient(3, (world, client, random) => {
    const room = random.pick(ROOMS);
    for (let i = random.whole(5, 40); i > 0; i--) publishTo(world, client, room, random);
  }),
  /** For runs that ask for it: two messages at once, and no echo wanted of the second. */
  ownPair: byClient(0, (world, client, random) => {
    const room = random.pick(ROOMS);
    world.count('publishes', 2);
    world.loop.as(client.owner, () => {
      client.publish(room, ++nextPayload, 0, {});
      client.publish(room, ++nextPayload, 0, { echo: false });
    });
  }),
  join: byClient(15, (world, client, random) => {
    const name = random.pick(ROOMS);
    const options = {
      ...beginning(random, name),
      ...(random.next() < 0.3 && { presence: { n: random.whole(0, 9) } }),
    };
    world.loop.as(client.owner, () => client.join(name, options));
  }),
  /** Says something of itself before its join is answered. */
  joinAndSay: byClient(3, (world, client, random) => {
    const name = random.pick(ROOMS);
    let joins = false;
    world.loop.as(client.owner, () => {
      joins = client.join(name);
      client.setPresence(name, { n: random.whole(0, 99) });
    });
    if (random.next() >= 0.5) return;
    const payload = publishTo(world, client, name, random);
    if (joins) client.publishesAfterJoin(name, payload);
  }),
  leave: byClient(5, (world, client, random) => {
    const name = random.pick(ROOMS);
    world.loop.as(client.owner, () => client.leave(name));
  }),
  presence: byClient(6, (world, client, random) => {
    const name = random.pick(ROOMS);
    const data = random.next() < 0.2 ? null : { n: random.whole(0, 99) };
    world.loop.as(client.owner, () => client.setPresence(name, data));
    // Now and then it changes its mind at once.
    if (random.next() < 0.3)
      world.loop.as(client.owner, () => client.setPresence(name, { n: random.whole(0, 99) }));
  }),
  ack: byClient(8, (world, client, random) => {
    world.loop.as(client.owner, () => client.ack(random.pick(ROOMS)));
  }),
  signal: byClient(6, (world, client, random) => {
    const [number, room, echo] = [++nextPayload, random.pick(ROOMS), random.next() < 0.7];
    world.loop.as(client.owner, () => client.signal(room, number, echo));
  }),
  keepOut: {
    weight: 1,
    happen(world, random) {
      // Whoever is kept out says nothing any more.
      if (random.next() < 0.2) keepOut(world, random);
    },
  },
  /** The next message finds a listener that fails, or that loses the connection at that moment. */
  startle: byClient(2, (world, client, random) => {
    const fails = random.next() < 0.5;
    client.startled = () => {
      if (fails) throw new Error('a listener failed');
      for (const link of world.linksOfClient(client)) link.cut('ECONNRESET');
    };
  }),
  ...SERVER_ACTIONS,
  history: byClient(3, (world, client, random) => {
    world.loop.as(client.owner, () => {
      client.client.history(random.pick(ROOMS), { limit: 50 }).catch(() => undefined);
    });
  }),
};
