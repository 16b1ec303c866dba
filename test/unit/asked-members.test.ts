/** Whose members a node reads for joins that ask for them, and keeps. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { holdingsOf } from '../simulation/world/holdings.ts';
import { type Device, LocalNode } from '../support/local-node.ts';
import { OPEN } from '../support/rules.ts';
import { waitFor } from '../support/wait.ts';

let local: LocalNode;
let read: string[];

beforeEach(async () => {
  local = await LocalNode.start(() => OPEN);
  const { presence } = local.backplane;
  const view = presence.view.bind(presence);
  read = [];
  presence.view = (room, limit) => {
    read.push(room);
    return view(room, limit);
  };
});

afterEach(() => local.close());

function answered(device: Device, id: number): Promise<unknown> {
  return waitFor(() => device.frames.find((frame) => frame[0] === 'ok' && frame[1] === id), {
    for: `the reply to ${id}`,
  });
}

function disconnect({ connection }: Device): void {
  connection.closed();
  local.node.disconnected(connection);
}

// One read of each connection is made at a time. A list that is read for nobody would be kept for a room that may be closed by then.
it.each([
  ['waits for its turn', ['left', 'other', 'third']],
  ['waits for the room to open', []],
])('who leaves while the read of the members %s has nothing read', async (_, open) => {
  const keeper = local.device('keeper');
  for (const [at, room] of open.entries()) {
    keeper.send(['join', at + 1, room]);
    await answered(keeper, at + 1);
  }
  const ann = local.device('ann');
  const asked = { members: true };
  ann.send(['join', 1, 'other', asked], ['join', 2, 'left', asked], ['leave', 3, 'left']);
  await answered(ann, 1);
  ann.send(['join', 4, 'third', asked]);
  await answered(ann, 4);
  expect(read).toEqual(['other', 'third']);
});

it.each([
  ['leaves', (ann: Device) => ann.send(['leave', 2, 'room']), 0],
  ['joins again', (ann: Device) => ann.send(['join', 2, 'room', { members: true }]), 1],
])('who %s while the room opens asks for nothing in vain', async (_, go, reads) => {
  const ann = local.device('ann');
  ann.send(['join', 1, 'room', { members: true }]);
  go(ann);
  const keeper = local.device('keeper');
  keeper.send(['join', 1, 'room'], ['join', 2, 'other']);
  await answered(keeper, 2);
  expect(local.metrics.reads.answered).toBe(reads);
});

it('a node keeps nothing of who is gone before the room opens', async () => {
  const ann = local.device('ann');
  ann.send(['join', 1, 'room', { members: true }]);
  disconnect(ann);
  const keeper = local.device('keeper');
  keeper.send(['join', 1, 'room']);
  await answered(keeper, 1);
  disconnect(keeper);
  const kept = holdingsOf(local.node, (name) => name === 'GatedBackplane');
  expect(kept.get('Connection itself')).toBeUndefined();
});
