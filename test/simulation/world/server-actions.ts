/** What the application's server does, by way of any node: it publishes, clears histories and lets users back in. */
import { pack } from 'msgpackr';
import type { Random } from '../../support/random.ts';
import type { Happening } from './happening.ts';
import { disconnectUser, endRevocation, revoke } from './revocations.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { type KeptOut, ROOMS, type World } from './world.ts';

function byServer(
  weight: number,
  act: (world: World, node: SimulatedNode, random: Random) => void,
): Happening {
  return {
    weight,
    happen(world, random) {
      const node = random.pick(world.running);
      if (node !== undefined && node.owner.held === null)
        world.loop.as(node.owner, () => act(world, node, random));
    },
  };
}

/** Nobody tries again: what has no answer may be stored or not. */
function publish(world: World, { owner, core }: SimulatedNode, room: string, payload: number): void {
  const sentAtMs = performance.now();
  core.node.server.publish(
    { room, data: pack(payload), key: null },
    {
      published: (epoch, offset) => {
        const ackedAtMs = performance.now();
        if (offset > 0) world.fromServer.push({ room, payload, epoch, offset, sentAtMs, ackedAtMs });
        world.count('server publishes');
      },
      failed: ({ message }) => world.trace(`message ${payload} of the server by ${owner.name}: ${message}`),
    },
  );
}

/** While it is not known whether it came through, nobody says of the user what is true. */
function letIn(world: World, { core }: SimulatedNode, kept: KeptOut): void {
  world.keptOut.splice(world.keptOut.indexOf(kept), 1);
  const { room, user } = kept;
  world.inDoubt.add(`${room} ${user}`);
  core.node.server.removeFromRoom(room, user, { reason: 'welcome back', forMs: 0 }).then(
    () => {
      world.inDoubt.delete(`${room} ${user}`);
      world.letIn.push(kept);
      world.trace(`${user} may be in ${room} again`);
    },
    () => undefined,
  );
}

/** Told apart from what clients publish. */
let nextPayload = 0;
const FIRST_PAYLOAD = 10_000_000;

export function restartServerPayloads(): void {
  nextPayload = FIRST_PAYLOAD;
}

export const SERVER_ACTIONS: Readonly<Record<string, Happening>> = {
  serverPublish: byServer(6, (world, node, random) => {
    const room = random.pick(ROOMS);
    for (let i = random.pick([1, 1, 1, 12]); i > 0; i--) publish(world, node, room, ++nextPayload);
  }),
  clearHistory: byServer(1, (world, node, random) => {
    const room = random.pick(ROOMS);
    const cleared = world.clears.begin(room);
    node.core.node.server.clearHistory(room).then(
      (position) => {
        world.count('cleared');
        cleared(position?.[0] ?? '');
      },
      () => undefined,
    );
    world.trace(`the history of ${room} is cleared`);
  }),
  revoke: byServer(1, (world, node, random) => {
    const chance = random.next();
    if (chance < 0.3) revoke(world, node, random);
    else if (chance < 0.4) endRevocation(world, node, random);
    else if (chance < 0.5) disconnectUser(world, node, random);
  }),
  letIn: byServer(1, (world, node, random) => {
    const kept = random.pick(world.keptOut);
    if (kept !== undefined && !world.inDoubt.has(`${kept.room} ${kept.user}`)) letIn(world, node, kept);
  }),
};
