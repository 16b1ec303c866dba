/** The server API keeps users out of rooms, on all nodes, whatever happens to them. */
import type { Random } from '../../support/random.ts';
import { ROOMS, type World } from './world.ts';

/** Longer than a run. */
const FOR_MS = 1_000_000;
const USERS = ['user-0', 'user-1', 'user-2', 'user-3', 'user-4'];

export function keepOut(world: World, random: Random): void {
  const node = random.pick(world.running);
  const [room, user] = [random.pick(ROOMS), random.pick(USERS)];
  if (!node || node.owner.held !== null) return;
  world.loop.as(node.owner, () => {
    node.core.node.removeFromRoom(room, user, { reason: 'as the server says', forMs: FOR_MS }).then(
      () => {
        world.keptOut.push({ room, user });
        world.count('keptOut');
        world.trace(`${user} is kept out of ${room}`);
      },
      () => undefined,
    );
  });
}

export function checkKeptOut(world: World): void {
  for (const { room, user } of world.keptOut) {
    for (const client of world.clients) {
      if (client.user === user && client.isIn(room))
        world.violation(`${client.owner.name} is in ${room}, and ${user} is kept out`);
    }
  }
}
