/** The server API keeps users out of rooms, on all nodes, whatever happens to them. */
import type { Random } from '../../support/random.ts';
import type { Steady } from './steady.ts';
import { ROOMS, type World } from './world.ts';

/** Longer than a run. */
const FOR_MS = 1_000_000;
const USERS = ['user-0', 'user-1', 'user-2', 'user-3', 'user-4'];

export function keepOut(world: World, random: Random): void {
  const node = random.pick(world.running);
  const [room, user] = [random.pick(ROOMS), random.pick(USERS)];
  const name = `${room} ${user}`;
  if (!node || node.owner.held !== null || world.inDoubt.has(name)) return;
  // Until it is answered nobody lets the user in again: it would not be known which of both was the last.
  world.inDoubt.add(name);
  world.loop.as(node.owner, () => {
    node.core.node.server.removeFromRoom(room, user, { reason: 'as the server says', forMs: FOR_MS }).then(
      () => {
        world.inDoubt.delete(name);
        if (!world.keptOut.some((kept) => kept.room === room && kept.user === user))
          world.keptOut.push({ room, user, sinceMs: world.loop.nowMs });
        world.count('keptOut');
        world.trace(`${user} is kept out of ${room}`);
      },
      // It may have been stored.
      () => undefined,
    );
  });
}

/** So long after its trouble a node knows who is kept out. */
const KNOWN_AFTER_MS = 5_000;
/** A node may be deaf for so long without knowing it. */
const HEARD_AFTER_MS = 12_000;

/** On nodes without trouble nobody is where they may not be. */
export function lookForKeptOut(world: World, steady: Steady): void {
  const dueMs = world.loop.nowMs - HEARD_AFTER_MS;
  if (world.forgot(null)) return;
  for (const { room, user } of world.keptOut.filter(({ sinceMs }) => sinceMs < dueMs)) {
    for (const node of world.running) {
      if (steady.ofNode(node) < KNOWN_AFTER_MS) continue;
      const connections = [...node.core.node.hub.connections()];
      if (connections.some((connection) => connection.user === user && connection.rooms.includes(room)))
        world.violation(`${node.owner.name} has ${user} in ${room}, who is kept out for long`);
    }
  }
}

export function checkKeptOut(world: World): void {
  checkLetIn(world);
  for (const { room, user } of world.keptOut) {
    // Redis lost it, and those who knew are dead.
    if (world.forgot(null) && !world.running.some(({ core }) => core.node.keptOut.leftMs(user, room) > 0))
      continue;
    for (const client of world.clients) {
      if (client.user === user && client.isIn(room))
        world.violation(`${client.owner.name} is in ${room}, and ${user} is kept out`);
    }
  }
}

/** Nobody is kept out whom the server let in again, unless it changed its mind since. */
function checkLetIn(world: World): void {
  // An older list may have come back.
  if (world.forgot(null)) return;
  for (const { room, user } of world.letIn) {
    if (world.inDoubt.has(`${room} ${user}`)) continue;
    if (world.keptOut.some((kept) => kept.room === room && kept.user === user)) continue;
    for (const { owner, core } of world.running) {
      if (core.node.keptOut.leftMs(user, room) > 0)
        world.violation(`${owner.name} keeps ${user} out of ${room}, whom the server let in again`);
    }
  }
}
