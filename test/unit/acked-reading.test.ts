/** Joins that wait for what their user has acknowledged, on a node whose store answers when the test says so. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BackplaneError } from '../../src/backplane/backplane.ts';
import type { RoomRule } from '../../src/config/room-rule.ts';
import { type Device, LocalNode } from '../support/local-node.ts';
import { waitFor } from '../support/wait.ts';

const RULE: RoomRule = {
  history: { messages: 100, ageMs: 60_000 },
  presence: false,
  memberEvents: false,
  join: 'anyone',
  publish: 'anyone',
  acks: true,
  presenceData: true,
  slowReaders: 'resume',
};

let local: LocalNode;
let backplane: LocalNode['backplane'];

beforeEach(async () => {
  local = await LocalNode.start(() => RULE);
  backplane = local.backplane;
  backplane.gate();
});

afterEach(() => local.close());

/** A room that is live on the node, with so many messages. */
async function warmRoom(messages: number): Promise<Device> {
  const keeper = local.device('keeper');
  keeper.send(['join', 1, 'room']);
  await waitFor(() => backplane.gates.length === 1);
  backplane.gates.shift()!.open();
  await waitFor(() => keeper.told(1).includes('ok'));
  for (let n = 1; n <= messages; n++) keeper.send(['publish', 0, 'room', n]);
  await waitFor(() => keeper.told().length === messages);
  return keeper;
}

describe('a join that waits for what its user acknowledged', () => {
  it('holds back what the same connection publishes after it, in order', async () => {
    await warmRoom(1);
    const phone = local.device('ann');
    phone.send(['join', 1, 'room'], ['publish', 2, 'room', 'a'], ['publish', 3, 'room', 'b']);
    const other = local.device('bob');
    other.send(['publish', 1, 'room', 'meanwhile']);
    await waitFor(() => other.told(1).includes('ok'));
    expect(phone.frames).toEqual([]);
    backplane.gates[0]!.open();
    await waitFor(() => phone.told().length === 2);
    expect(phone.told(1)).toEqual(['ok', 'a', 'b']);
    expect(phone.frames.find(([type]) => type === 'ok')).toMatchObject(['ok', 1, { offset: 2, acked: null }]);
  });

  it('gets with `resume` what came before and while it waited, once', async () => {
    const keeper = await warmRoom(5);
    const { epoch } = await backplane.read('room', RULE.history, { limit: 0 });
    await backplane.acks.ack('room', RULE.history, 'ann', [epoch, 3]);
    const phone = local.device('ann');
    phone.send(['join', 1, 'room', { resume: true }]);
    keeper.send(['publish', 9, 'room', 6]);
    await waitFor(() => keeper.told(9).includes('ok'));
    backplane.gates[0]!.open();
    await waitFor(() => phone.told().includes(6));
    keeper.send(['publish', 10, 'room', 7]);
    await waitFor(() => phone.told().includes(7));
    expect(phone.told(1)).toEqual(['ok', 4, 5, 6, 7]);
    expect(phone.frames[0]).toEqual(['ok', 1, { epoch, offset: 6, recovered: true, acked: 3 }]);
  });

  it('begins, with the first `resume` of a user, at the start that is kept, and misses nothing after it', async () => {
    const keeper = await warmRoom(2);
    const phone = local.device('ann');
    phone.send(['join', 1, 'room', { resume: true }]);
    backplane.gates.shift()!.open();
    // Published between the lookup and the reply, or after it: either way the join is to bring it.
    keeper.send(['publish', 9, 'room', 3]);
    await waitFor(() => phone.told().includes(3));
    expect(phone.told(1)).toEqual(['ok', 3]);
    expect(phone.frames[0]).toMatchObject(['ok', 1, { recovered: false, acked: 2 }]);
    const laptop = local.device('ann');
    laptop.send(['join', 1, 'room', { resume: true }]);
    backplane.gates.shift()!.open();
    await waitFor(() => laptop.told().includes(3));
    expect(laptop.told(1)).toEqual(['ok', 3]);
    expect(laptop.frames[0]).toMatchObject(['ok', 1, { recovered: true, acked: 2 }]);
  });

  it('fails with the store, and is no membership then', async () => {
    const keeper = await warmRoom(0);
    const phone = local.device('ann');
    phone.send(['join', 1, 'room'], ['publish', 2, 'room', 'still sent']);
    backplane.gates[0]!.fail(new BackplaneError('timeout', 'acks', 'no answer'));
    await waitFor(() => keeper.told().includes('still sent'));
    await waitFor(() => phone.told(2).includes('ok'));
    expect(phone.told(1, 2)).toEqual(['error', 'ok']);
    expect(phone.frames[0]).toEqual(['error', 1, 'timeout', 'no answer']);
    expect(phone.connection.rooms).toEqual([]);
  });

  it('does not touch the membership that was made anew meanwhile, whatever becomes of it', async () => {
    const keeper = await warmRoom(0);
    const phone = local.device('ann');
    phone.send(['join', 1, 'room'], ['join', 2, 'room']);
    await waitFor(() => backplane.gates.length === 2);
    backplane.gates[1]!.open();
    await waitFor(() => phone.told(2).includes('ok'));
    backplane.gates[0]!.fail(new BackplaneError('timeout', 'acks', 'no answer'));
    keeper.send(['publish', 0, 'room', 'heard']);
    await waitFor(() => phone.told().includes('heard'));
    expect(phone.connection.rooms).toEqual(['room']);
    expect(phone.told(1, 2)).toEqual(['error', 'ok', 'heard']);
    expect(phone.frames[0]).toEqual(['error', 1, 'not_joined', expect.any(String)]);
  });

  it('does not come back to life after its room was left', async () => {
    const keeper = await warmRoom(0);
    const phone = local.device('ann');
    phone.send(['join', 1, 'room'], ['leave', 2, 'room']);
    backplane.gates[0]!.open();
    keeper.send(['publish', 0, 'room', 'unheard']);
    await waitFor(() => keeper.told().includes('unheard'));
    expect(phone.told(1, 2)).toEqual(['error', 'ok']);
    expect(phone.frames[0]).toEqual(['error', 1, 'not_joined', expect.any(String)]);
    expect([...phone.socket.topics]).toEqual([]);
  });

  it('of an anonymous connection does not wait', async () => {
    await warmRoom(0);
    const nobody = local.device(null);
    nobody.send(['join', 1, 'room', { resume: true }]);
    await waitFor(() => nobody.frames.length === 1);
    expect(nobody.frames[0]).toEqual(['ok', 1, { epoch: expect.any(String), offset: 0, recovered: false }]);
    expect(backplane.gates).toEqual([]);
  });
});
