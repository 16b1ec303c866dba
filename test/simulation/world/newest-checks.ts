/** Who joins a room without history is given the same newest messages by each node. */
import type { World } from './world.ts';

const ROOM = 'live:a';
const JOIN_MS = 5_000;

/** Nodes keep what a Redis has lost, and those that heard of the room later do not have it. */
export function checkNewest(world: World): void {
  if (world.forgot(ROOM)) return;
  const newcomers = world.nodes.map((_, place) => {
    const client = world.addClient(place);
    world.loop.as(client.owner, () => client.join(ROOM, { last: 100 }));
    return client;
  });
  world.loop.run(world.loop.nowMs + JOIN_MS);
  // Some are kept out.
  const given = newcomers
    .filter((client) => client.isIn(ROOM))
    .map((client) => ({ by: client.connection, payloads: client.stays[0]!.log.payloads }));
  world.count('newest compared', given.length);
  const [first, ...others] = given;
  for (const { by, payloads } of others.filter((other) => !areSame(other.payloads, first!.payloads))) {
    const both = `${payloads.join(' ')} in ${ROOM}, and ${first!.by} ${first!.payloads.join(' ')}`;
    world.violation(`newest: ${by} is given ${both}`);
  }
}

/** A node may have kept more that is older than all that Redis has: for all it knows, Redis has lost that. */
function areSame(one: readonly number[], other: readonly number[]): boolean {
  const least = Math.min(one.length, other.length);
  if (least === 0) return one.length === other.length;
  return one.slice(-least).join() === other.slice(-least).join();
}
